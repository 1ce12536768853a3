"""Whether the files that a command is given are there, asked before anything is loaded to read them."""

import re
from pathlib import Path

LABELS_FILE = "labels.json"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def absolute_if_here(name: str) -> str:
    """The absolute path of a file or folder of this machine, which has one name so; any other name, as of the Hub, as it is."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def check_data_folder(folder: str | Path) -> None:
    """
    Raises:
        ValueError: a folder of this machine doesn't exist. Those elsewhere, such as `hf://datasets/org/name`, aren't looked at.
    """
    if "://" not in str(folder) and not Path(folder).is_dir():
        raise no_data_folder(folder)


def check_data(data: str) -> None:
    """
    Raises:
        ValueError: there is no such file or folder, and the name can't be that of a dataset on the Hub.
    """
    if "://" not in data and not Path(data).exists() and not HUB_NAME.fullmatch(data):
        raise ValueError(
            f"data={data!r} does not exist. Give a folder of parquet shards and {LABELS_FILE}, annotations in a layout that "
            "`eomt prepare` reads, or the name of a dataset on the Hub such as org/name"
        )


def no_data_folder(folder: str | Path) -> ValueError:
    """The error of a folder that doesn't exist."""
    return ValueError(f"data folder {folder} does not exist. Give a folder of parquet shards and {LABELS_FILE}.")


def check_checkpoint(checkpoint: str | Path) -> None:
    """
    Raises:
        ValueError: the checkpoint doesn't exist, and its name can't be one of the Hub's.
    """
    text = str(checkpoint)
    of_hub = not text.startswith((".", "/", "~")) and text.count("/") < 2 and "\\" not in text
    if not of_hub and not Path(text).is_dir():
        raise ValueError(f"checkpoint={text!r}: no such folder. Give a folder with a model, or a name on the Hub such as org/name")
