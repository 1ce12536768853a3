"""One pass of evaluation samples, shared out over processes.

The stream shares itself out: give it to a plain DataLoader, and let nothing (accelerate in particular) shard it again.

Shapes: B images, W windows of an image, S pixels of a crop's side.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import IterableDataset

from eomt.train_scripts.data.dataset_folder import Labels, count_rows, load_split, read_labels
from eomt.train_scripts.data.sample_decoder import SampleDecoder
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.task_samples import panoptic_sample
from eomt.train_scripts.data.training_stream import check_rank


def evaluation_stream(
    folder: str | Path,
    split: str,
    processor: Callable,
    world_size: int = 1,
    rank: int = 0,
    transform: Callable[[Sample, Labels], Sample] = panoptic_sample,
    bad_samples: str = "raise",
) -> "EvaluationStream":
    """One process's share of a split, in order, with the truth of the task that `transform` makes; see [`EvaluationStream`]."""
    labels = read_labels(folder)
    check_rank(world_size, rank)
    # row by row, since whole row groups would give processes different numbers of images, for which the others wait
    rows = split_dataset_by_node(load_split(folder, split), rank, world_size, strategy="examples")
    share = -(-count_rows(folder, split) // world_size)
    return EvaluationStream(rows, SampleDecoder(labels, transform, f"{folder}, split {split}", bad_samples), processor, share)


class EvaluationStream(IterableDataset):
    """
    One pass; over all processes each row comes once, none is repeated to fill up.

    Yields dicts: what `processor` makes of the image, `pixel_values` (W, 3, S, S), `image_layouts` (W, 4) and, if it is split into
    W windows, their `patch_offsets`; and `sample`, a [`Sample`] at its own size. After a pass, `skipped` says why rows were left
    out of it.
    """

    def __init__(self, rows: datasets.IterableDataset, decode: SampleDecoder, processor: Callable, share: int):
        self.rows, self.decode, self.processor, self.share = rows, decode, processor, share
        self.skipped: list[str] = []

    def __len__(self) -> int:
        """How many images to expect, skipped ones included: exact for the first process, of the others some have one less."""
        return self.share

    def __iter__(self) -> Iterator[dict]:
        self.skipped = self.decode.skipped = []
        for row in self.rows:
            sample = self.decode(row)
            if sample is None:
                continue
            inputs = self.processor(images=[sample.image], return_tensors="pt")
            yield {**inputs, "sample": sample}


def collate_evaluation(examples: list[dict]) -> dict:
    """B evaluation examples -> `pixel_values` (all their windows, 3, S, S), `windows`, how many each image has, and the lists of B
    `patch_offsets` (None: not split), `image_layouts` and `samples`."""
    return {
        "pixel_values": torch.cat([example["pixel_values"] for example in examples]),
        "windows": [len(example["pixel_values"]) for example in examples],
        "patch_offsets": [example.get("patch_offsets") for example in examples],
        "image_layouts": [example["image_layouts"] for example in examples],
        "samples": [example["sample"] for example in examples],
    }
