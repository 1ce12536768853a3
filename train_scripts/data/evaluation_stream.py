"""One pass of evaluation samples, shared out over processes.

Shapes: B images, W windows of an image, S pixels of a crop's side.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import torch
from torch.utils.data import IterableDataset

from eomt.train_scripts.data.dataset_folder import Labels, count_rows, load_split, read_labels
from eomt.train_scripts.data.sample_decoder import SampleDecoder
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.sharing import check_rank, every_nth_row
from eomt.train_scripts.data.task_samples import panoptic_sample
from eomt.train_scripts.data.window_limit import check_windows


def evaluation_stream(
    folder: str | Path,
    split: str,
    processor: Callable,
    world_size: int = 1,
    rank: int = 0,
    transform: Callable[[Sample, Labels], Sample] = panoptic_sample,
    bad_samples: str = "raise",
) -> "EvaluationStream":
    """One process's share of a split, in the order of its rows; see [`EvaluationStream`].

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.
        processor: the image processor.
        world_size, rank: the number of processes, and which of them this is.
        transform: a sample and the dataset's classes -> the sample of the task; see `task_samples`.
        bad_samples: one of `BAD_SAMPLES`: a row that can't be used, or whose image needs too many windows, raises or is left out.

    Raises:
        ValueError: something is wrong with the dataset, or an argument is out of range.
    """
    labels = read_labels(folder)
    check_rank(world_size, rank)
    # row by row: shares of whole row groups would differ in size, and the others would wait for the process with the most
    rows = every_nth_row(load_split(folder, split), world_size, rank)
    share = -(-count_rows(folder, split) // world_size)

    def within_limit(sample: Sample, labels: Labels) -> Sample:
        check_windows(processor, tuple(sample.image.shape[1:]), sample.image_id)
        return transform(sample, labels)

    return EvaluationStream(rows, SampleDecoder(labels, within_limit, f"{folder}, split {split}", bad_samples), processor, share)


class EvaluationStream(IterableDataset):
    """
    One pass over a share. Over all processes each row comes once: none is repeated to make shares equal.

    Yields dicts: what `processor` makes of the image, `pixel_values` (W, 3, S, S), `image_layouts` (W, 4) and, if the image is
    split into W windows, their `patch_offsets`; and `sample`, a [`Sample`] at its original size. After a pass, `skipped` has
    the reasons why rows were left out of it.
    """

    def __init__(self, rows: datasets.IterableDataset, decode: SampleDecoder, processor: Callable, share: int):
        self.rows, self.decode, self.processor, self.share = rows, decode, processor, share
        self.skipped: list[str] = []

    def __len__(self) -> int:
        """The number of images, those left out included. It is exact for the first process; others may have one less."""
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
    """Joins B examples of an [`EvaluationStream`] to a batch.

    Returns:
        `pixel_values` (sum of W, 3, S, S), the windows of all images; `windows`, the numbers W of the images; the lists of B
        `patch_offsets` (None for an image that isn't split), `image_layouts` and `samples`.
    """
    return {
        "pixel_values": torch.cat([example["pixel_values"] for example in examples]),
        "windows": [len(example["pixel_values"]) for example in examples],
        "patch_offsets": [example.get("patch_offsets") for example in examples],
        "image_layouts": [example["image_layouts"] for example in examples],
        "samples": [example["sample"] for example in examples],
    }
