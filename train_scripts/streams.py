"""Endless training batches and one pass of evaluation batches, shared out over processes and DataLoader workers.

The streams share themselves out: give them to a plain DataLoader, and let nothing (accelerate in particular) shard them
again. A sample's augmentation depends on seed, epoch and image_id alone, not on how many processes and workers there are.

Shapes: B images, W windows of an image, S pixels of a crop's side, n segments of an image.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from torchvision import tv_tensors

from eomt.image_processing.augmentation import normalize
from eomt.randomness import key_of
from eomt.train_scripts.data import Labels, count_rows, load_split, read_labels
from eomt.train_scripts.samples import Sample, decode_row, present_segments
from eomt.train_scripts.tasks import TaskSamples

ATTEMPTS = 10  # at a crop that shows a segment
EVEN_SHARE = 20  # row groups a process; with fewer, handing out whole ones would be uneven


def training_stream(
    folder: str | Path,
    split: str,
    augmentation: Callable,
    seed: int,
    world_size: int = 1,
    rank: int = 0,
    shuffle_buffer: int = 1000,
    task: str = "panoptic",
) -> "TrainingStream":
    """The endless stream of one process; see [`TrainingStream`].

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data`.
        augmentation: (`tv_tensors.Image`, `tv_tensors.Mask`) -> the same, drawing from torch's global generator.
        seed: of order and augmentation.
        world_size, rank: number of processes, and which this is.
        shuffle_buffer: rows that each worker holds, encoded, to draw from.
        task: one of `eomt.train_scripts.tasks.TASKS`, whose targets the samples have.

    Raises:
        ValueError: something is wrong with the dataset, or an argument is out of range.
    """
    labels = read_labels(folder)
    _check_rank(world_size, rank)
    if shuffle_buffer < 1:
        raise ValueError(f"shuffle_buffer={shuffle_buffer} must be at least 1 row")
    rows = load_split(folder, split)
    decode = SampleDecoder(labels, task, f"{folder}, split {split}")
    return TrainingStream(rows, decode, augmentation, seed, world_size, rank, shuffle_buffer)


class SampleDecoder:
    """A row -> the task's sample.

    Args:
        labels: the dataset's classes.
        task: one of `TASKS`.
        source: where rows come from, for error messages.
    """

    def __init__(self, labels: Labels, task: str, source: str):
        self.num_classes, self.source = len(labels), source
        self.of_task = TaskSamples(labels, task)

    def __call__(self, row: dict) -> Sample:
        return self.of_task(decode_row(row, self.num_classes, self.source))


class TrainingStream(IterableDataset):
    """
    Epoch after epoch of augmented samples, each epoch in another order. Over all processes and workers an epoch has each row
    once.

    Yields dicts: `image` (3, S, S) uint8, `id_map` (S, S) int32, `segment_ids` and `class_labels` (n,) of the segments to be
    seen, without crowds, `sample_key` int, `epoch` int, `image_id`.
    """

    def __init__(
        self,
        rows: datasets.IterableDataset,
        decode: SampleDecoder,
        augmentation: Callable,
        seed: int,
        world_size: int,
        rank: int,
        shuffle_buffer: int,
    ):
        self.rows, self.decode, self.augmentation, self.seed = rows, decode, augmentation, seed
        self.world_size, self.rank, self.shuffle_buffer = world_size, rank, shuffle_buffer

    def epoch_rows(self, epoch: int) -> datasets.IterableDataset:
        """This process's rows of an epoch. A new stream each time: `set_epoch` is shared between workers, which may be in
        different epochs."""
        order = key_of(self.seed, epoch) % (1 << 32)
        # one row group at a time: reading ahead from several takes threads that hold up a worker at its end
        shuffled = self.rows.shuffle(seed=order, buffer_size=self.shuffle_buffer, max_buffer_input_shards=1)
        strategy = "shards" if self.rows.num_shards >= EVEN_SHARE * self.world_size else "examples"
        return split_dataset_by_node(shuffled, self.rank, self.world_size, strategy=strategy)

    def __iter__(self) -> Iterator[dict]:
        worker = get_worker_info()
        for epoch in itertools.count():
            rows, seen = self.epoch_rows(epoch), 0
            if worker is not None and worker.id >= rows.num_shards:
                return  # more workers than row groups: nothing to do for this one
            for row in rows:
                seen += 1
                sample = self.decode(row)
                key = key_of(self.seed, epoch, sample.image_id)
                yield {**augment(sample, self.augmentation, key), "sample_key": key, "epoch": epoch}
            if not seen:
                raise ValueError(
                    f"{self.decode.source}: too few rows for world_size={self.world_size} processes and their workers. "
                    "Use fewer of them."
                )


def augment(sample: Sample, augmentation: Callable, key: int) -> dict:
    """An augmented sample without crowds, which are no targets in training.

    A crop that shows none of the segments is drawn again, but not for ever: in the end, and at once if there is nothing but
    crowd, the image trains as one without segments.
    """
    ids, labels = sample.segment_ids[~sample.is_crowd], sample.class_labels[~sample.is_crowd]
    for attempt in range(ATTEMPTS if len(ids) else 1):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key_of(key, attempt))
            image, id_map = augmentation(tv_tensors.Image(sample.image), tv_tensors.Mask(sample.id_map))
        image, id_map = image.as_subclass(Tensor), id_map.as_subclass(Tensor)
        present = present_segments(id_map, ids)
        if present.any():
            break
    return {
        "image_id": sample.image_id,
        "image": image,
        "id_map": id_map,
        "segment_ids": ids[present],
        "class_labels": labels[present],
    }


class TrainingCollator:
    """Training samples -> a batch for the model: `pixel_values` (B, 3, S, S) float32, `id_maps` (B, S, S) int32,
    `segment_ids` and `class_labels` lists of (n,), `sample_keys` (B,); and `images`, which names them: B dicts of `image_id`,
    `sample_key` and `epoch`.

    Args:
        mean, std: that pixels in 0..1 are normalised with.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = mean, std

    def __call__(self, samples: list[dict]) -> dict:
        return {
            "pixel_values": normalize(torch.stack([sample["image"] for sample in samples]), self.mean, self.std),
            "id_maps": torch.stack([sample["id_map"] for sample in samples]),
            "segment_ids": [sample["segment_ids"] for sample in samples],
            "class_labels": [sample["class_labels"] for sample in samples],
            "sample_keys": torch.tensor([sample["sample_key"] for sample in samples]),
            "images": [{name: sample[name] for name in ("image_id", "sample_key", "epoch")} for sample in samples],
        }


def evaluation_stream(
    folder: str | Path, split: str, processor: Callable, world_size: int = 1, rank: int = 0, task: str = "panoptic"
) -> "EvaluationStream":
    """One process's share of a split, in order, with the truth of a task; see [`EvaluationStream`]."""
    labels = read_labels(folder)
    _check_rank(world_size, rank)
    rows = split_dataset_by_node(load_split(folder, split), rank, world_size)
    share = -(-count_rows(folder, split) // world_size)
    return EvaluationStream(rows, SampleDecoder(labels, task, f"{folder}, split {split}"), processor, share)


class EvaluationStream(IterableDataset):
    """
    One pass; over all processes each row comes once, none is repeated to fill up.

    Yields dicts: `pixel_values` (W, 3, S, S) and `patch_offsets`, what `processor` makes of the image: W windows and where
    they lie, or one padded input and no offsets; and `sample`, a [`Sample`] at its own size.
    """

    def __init__(self, rows: datasets.IterableDataset, decode: SampleDecoder, processor: Callable, share: int):
        self.rows, self.decode, self.processor, self.share = rows, decode, processor, share

    def __len__(self) -> int:
        """How many images to expect: exact for one process, on average for several."""
        return self.share

    def __iter__(self) -> Iterator[dict]:
        for row in self.rows:
            sample = self.decode(row)
            inputs = self.processor(images=[sample.image], return_tensors="pt")
            yield {"pixel_values": inputs["pixel_values"], "patch_offsets": inputs["patch_offsets"], "sample": sample}


def collate_evaluation(examples: list[dict]) -> dict:
    """B evaluation examples -> `pixel_values` (all their windows, 3, S, S), `windows`, how many each image has, and the lists of B
    `patch_offsets` and `samples`."""
    return {
        "pixel_values": torch.cat([example["pixel_values"] for example in examples]),
        "windows": [len(example["pixel_values"]) for example in examples],
        "patch_offsets": [example["patch_offsets"] for example in examples],
        "samples": [example["sample"] for example in examples],
    }


def _check_rank(world_size: int, rank: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank={rank} must be in 0..{world_size - 1}, world_size={world_size} being the number of processes")
