"""The options of scoring on BRAVO, in a module that loads nothing heavy: they are read before anything else."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class BravoOptions:
    """What is scored, and against what."""

    predictions: str = field(metadata={"help": "folder of bravo_ACDC, bravo_SMIYC ... with *_pred.png and *_conf.png"})
    truth: str = field(metadata={"help": "folder of bravo_ACDC, bravo_SMIYC ... with labels and masks of invalid pixels"})
    output: str | None = field(default=None, metadata={"help": "JSON file for the scores"})

    def __post_init__(self):
        self.predictions, self.truth = str(self.predictions), str(self.truth)
        for name in ("predictions", "truth"):
            if not Path(getattr(self, name)).is_dir():
                raise ValueError(f"{name}={getattr(self, name)!r}: no such folder")
