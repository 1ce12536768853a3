"""An output folder that has been used: what a run leaves in it, whether a new run may begin there, and how all of it is removed."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from eomt.train_scripts.evaluation.checkpoints import FINISHED, MARK, checkpoints_of
from eomt.train_scripts.training.adapters import FOLDER as ADAPTER
from eomt.train_scripts.training.deciding import LATER
from eomt.train_scripts.training.finite_loss import FILE as BROKEN_LOSS
from eomt.train_scripts.training.model_card import CURVES
from eomt.train_scripts.training.overlays import FILE as PICTURE
from eomt.train_scripts.training.run_record import RunRecord, differences

LOCK = "_lock"  # while a run uses the folder; Trainer uploads no file whose name begins like this
RUN = "run.json"  # written when a training begins: what decides its result
RESULTS = ("before", "train", "eval", "all")  # `{name}_results.json`
WRITTEN = (FINISHED, PICTURE, CURVES, BROKEN_LOSS, "README.md", "training_args.bin", "trainer_state.json")
WRITTEN += (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
WRITTEN += tuple(f"{name}_results.json" for name in RESULTS)
LOGS = (".log", ".out", ".err")  # suffixes of what a shell or a job scheduler may have put there before the run began


def is_run(folder: Path) -> bool:
    """Whether a folder was written by a training of this package."""
    return any((folder / name).is_file() for name in (RUN, FINISHED)) or any(
        (path / MARK).is_file() for path in checkpoints_of(folder)
    )


def check_foreign(folder: Path) -> None:
    """Raises ValueError if a folder holds something, and that is of no run of this package."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output_dir={str(folder)!r} is a file; choose a folder")
    if (content := _content(folder)) and not is_run(folder):
        raise ValueError(f"output_dir={str(folder)!r} holds something else than a run, such as {content[0]}; choose another folder")


def check_beginning(folder: Path, record: RunRecord) -> None:
    """Checks that a run may begin at its first step in a folder without a whole checkpoint.

    Args:
        folder: the output folder.
        record: of the run.

    Raises:
        ValueError: the folder holds something else, or what is left of a run with other options.
    """
    check_foreign(folder)
    if set(_content(folder)) - {RUN} and (folder / RUN).is_file():
        check_same(folder, record, RunRecord.read(folder / RUN))


def check_same(folder: Path, record: RunRecord, stored: RunRecord) -> None:
    """Raises ValueError, naming what differs, unless a stored run has the options that decide the result of this one."""
    if different := differences(_deciding(record), _deciding(stored)):
        raise ValueError(
            f"output_dir={str(folder)!r} holds a run of other options, this one having {different}. Give the same to go on with "
            "it, choose another output_dir, or give --overwrite to remove it and train anew"
        )


def remove_run(folder: Path) -> None:
    """Removes what a run has written into its output folder, and nothing else. Logs of TensorBoard stay; each run has its own."""
    for checkpoint in checkpoints_of(folder):
        shutil.rmtree(checkpoint)
    if (folder / ADAPTER).is_dir():
        shutil.rmtree(folder / ADAPTER)
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            path.unlink()


def _content(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name[0] != "." and path.name != LOCK and path.suffix not in LOGS)


def _deciding(record: RunRecord) -> Mapping:
    return {**LATER, **record.order, **record.settings}
