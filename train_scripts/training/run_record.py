"""What a process stores about its run, so that the run can be resumed exactly."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.evaluation.checkpoints import write_whole
from eomt.train_scripts.training.deciding import with_absolute_paths


@dataclass
class RunRecord:
    """
    What decides a run's result, and how far one of its processes has come.

    A row counts as trained on when its batch is handed to the model. Rows that DataLoader workers have read ahead don't count, so
    that a resumed run reads them again.

    Args:
        order: options and digests that the order of the samples depends on.
        settings: the other options that decide the result, see [`deciding_options`].
        positions: {worker of the training stream: how far it has come}, of the workers that have given a batch.
        seconds: of training so far. Only a stored record has them; a running process reads them off its clock.
        skipped: rows left out so far, in the same way.
    """

    order: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    positions: dict[int, WorkerPosition] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: int = 0

    def add(self, images: Sequence[Mapping]) -> None:
        """A batch that is trained on, as the collator names its images: all of one worker, in the order of its stream."""
        worker, last = images[-1]["worker"], images[-1]
        batches = self.positions.get(worker, WorkerPosition()).batches + 1
        self.positions[worker] = WorkerPosition(batches, last["epoch"], last["row"])

    def write(self, path: Path, seconds: float, skipped: int) -> None:
        """Stores the record, whole or not at all.

        Args:
            path: of a JSON file.
            seconds: of training so far.
            skipped: rows left out so far.
        """
        places = {worker: vars(position) for worker, position in self.positions.items()}
        content = {"order": self.order, "settings": self.settings, "places": places, "seconds": seconds, "skipped": skipped}
        write_whole(path, json.dumps(content, indent=1))

    @classmethod
    def read(cls, path: Path) -> "RunRecord":
        """A stored record; one of nothing where there is no file, which equals no run's."""
        if not path.is_file():
            return cls(order={})
        stored = json.loads(path.read_text())
        positions = {int(worker): WorkerPosition(**place) for worker, place in stored["places"].items()}
        settings = with_absolute_paths(stored.get("settings", {}))
        return cls(stored["order"], settings, positions, stored["seconds"], stored["skipped"])


def record_file(process: int) -> str:
    """Name of a process's record in a checkpoint."""
    return f"place_in_data_{process}.json"


def differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """The options that differ, as `seed=1 instead of 42`; empty if none does."""
    return ", ".join(f"{name}={value} instead of {stored.get(name)}" for name, value in wanted.items() if stored.get(name) != value)
