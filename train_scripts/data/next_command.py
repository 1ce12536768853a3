"""The command that a user types next, at the end of one."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from eomt.train_scripts.data.dataset_folder import Labels

VIT = "vit_small_patch14_reg4_dinov2"  # the smallest ViT that the recipes are made for
FOLDER = "FOLDER"  # which the user is to choose


def next_line(*commands: Sequence[str]) -> str:
    """`next:` and commands of `eomt`, a line each.

    Args:
        commands: the words of each, such as `("predict", "--images", FOLDER)`.
    """
    lines = [f"eomt {shlex.join(map(str, words))}" for words in commands]
    return "next:     " + "\n          ".join(lines)


def train_words(data: str, labels: Labels, splits: Sequence[str]) -> tuple[str, ...]:
    """The command that trains on a prepared dataset, in the task that its classes are made for.

    Args:
        data: folder of the dataset.
        labels: its classes.
        splits: that were prepared; another one than "train" and "val" has to be named.
    """
    kinds = set(labels.isthing)
    task = "panoptic" if len(kinds) == 2 else "instance" if True in kinds else "semantic"
    words = ("train", "--recipe", task, "--timm_model", VIT, "--data", data, "--output_dir", f"outputs/{Path(data).name}")
    train = next((name for name in splits if name.startswith("train")), splits[0])
    others = [name for name in splits if name != train]
    words += () if train == "train" else ("--train_split", train)
    return words if "val" in others else (*words, "--eval_split", others[0] if others else "")


def predict_words(checkpoint: str, task: str) -> tuple[str, ...]:
    """The command that segments images with a checkpoint and draws them."""
    return ("predict", "--checkpoint", checkpoint, "--images", FOLDER, "--task", task, "--output", "predictions", "--overlays")
