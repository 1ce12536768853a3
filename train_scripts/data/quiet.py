"""Keeps the progress bars and warnings of other libraries off the screen of a command; this package's remain."""

import logging
import warnings

import datasets
from huggingface_hub.utils import enable_progress_bars
from transformers.utils import logging as transformers_logging

NOISY = ("accelerate", "datasets", "fsspec", "huggingface_hub", "PIL", "timm", "torch", "torch.distributed")  # loggers


def quiet_libraries() -> None:
    """For this process, and so for commands alone: a program that imports this package decides for itself.

    Errors are printed as ever, and so is the bar of a download, which may take minutes.
    """
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module=r"eomt\b")
    transformers_logging.disable_progress_bar()
    enable_progress_bars()  # of downloads, which the line above disables too
    transformers_logging.set_verbosity_error()
    datasets.disable_progress_bars()
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
