"""Endless training batches, shared out over processes and DataLoader workers.

The stream shares itself out: give it to a plain DataLoader, and let nothing (accelerate in particular) shard it again. A
sample's augmentation depends on seed, epoch and image_id alone, not on how many processes and workers there are.

Shapes: B images, S pixels of a crop's side, n segments of an image, P planes of an id map.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from torchvision import tv_tensors

from eomt.image_processing.augmentation import PADDING_ID, normalize
from eomt.randomness import key_of
from eomt.train_scripts.data.dataset_folder import Labels, load_split, read_labels, split_digest
from eomt.train_scripts.data.sample_decoder import SampleDecoder
from eomt.train_scripts.data.samples import Sample, present_segments
from eomt.train_scripts.data.task_samples import panoptic_sample

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
    transform: Callable[[Sample, Labels], Sample] = panoptic_sample,
    bad_samples: str = "raise",
) -> "TrainingStream":
    """The endless stream of one process; see [`TrainingStream`].

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.
        augmentation: (`tv_tensors.Image`, `tv_tensors.Mask`) -> the same, drawing from torch's global generator.
        seed: of order and augmentation.
        world_size, rank: number of processes, and which this is.
        shuffle_buffer: rows that each worker holds, encoded, to draw from.
        transform: a sample and the dataset's classes -> the sample of the task, see `task_samples`.
        bad_samples: one of `BAD_SAMPLES`: a row that can't be used raises, or is left out and reported with the next sample.

    Raises:
        ValueError: something is wrong with the dataset, or an argument is out of range.
    """
    labels = read_labels(folder)
    check_rank(world_size, rank)
    if shuffle_buffer < 1:
        raise ValueError(f"shuffle_buffer={shuffle_buffer} must be at least 1 row")
    rows = load_split(folder, split)
    decode = SampleDecoder(labels, transform, f"{folder}, split {split}", bad_samples)
    digest = split_digest(folder, split)
    return TrainingStream(rows, decode, augmentation, seed, world_size, rank, shuffle_buffer, digest)


@dataclass(frozen=True)
class WorkerPlace:
    """Where a DataLoader worker of a process is: after so many batches, and so many rows of its share of an epoch."""

    batches: int = 0
    epoch: int = 0
    rows: int = 0


class TrainingStream(IterableDataset):
    """
    Epoch after epoch of augmented samples, each epoch in another order. Over all processes and workers an epoch has each row
    once.

    Yields dicts: `image` (3, S, S) uint8, `id_map` (S, S) int32, or (P, S, S) where segments overlap, `segment_ids` and
    `class_labels` (n,) of the segments to be seen, without crowds, `sample_key` int, `image_id`; `skipped`, why rows since the last
    sample were left out; and its position: `worker`, `epoch`, and `row` of the worker's share of it, counted from 1. After
    [`resume`], None for each sample that was trained on before.
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
        digest: str,
    ):
        self.rows, self.decode, self.augmentation, self.seed = rows, decode, augmentation, seed
        self.world_size, self.rank, self.shuffle_buffer, self.digest = world_size, rank, shuffle_buffer, digest
        self._places: Mapping[int, WorkerPlace] = {}
        self._batch_size = 1

    @property
    def order(self) -> dict[str, int | str]:
        """What the samples and their order depend on, beside processes and workers."""
        return {"seed": self.seed, "shuffle_buffer": self.shuffle_buffer, "data_digest": self.digest}

    def resume(self, places: Mapping[int, WorkerPlace], batch_size: int) -> None:
        """Goes on after `places`, which an iteration begun later sees.

        The batches before are batches of None, one for each, so that workers take turns as they would have and the Trainer can
        skip as many as it always does; nothing is decoded for them, and of past epochs nothing is read.
        """
        self._places, self._batch_size = dict(places), batch_size

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
        index = 0 if worker is None else worker.id
        start = self._places.get(index, WorkerPlace())
        yield from itertools.repeat(None, start.batches * self._batch_size)
        for epoch in itertools.count(start.epoch):
            rows, seen, used = self.epoch_rows(epoch), 0, 0
            if worker is not None and worker.id >= rows.num_shards:
                return  # more workers than row groups: nothing to do for this one
            for row in rows:
                seen += 1
                if epoch == start.epoch and seen <= start.rows:
                    used += 1
                    continue
                sample = self.decode(row)
                if sample is None:
                    continue
                used += 1
                skipped, self.decode.skipped = self.decode.skipped, []
                key = key_of(self.seed, epoch, sample.image_id)
                position = {"worker": index, "epoch": epoch, "row": seen}
                yield {**augment(sample, self.augmentation, key), "sample_key": key, "skipped": skipped, **position}
            if seen and not used:
                raise ValueError(f"{self.decode.source}: none of {seen} rows can be used; the first: {self.decode.skipped[0]}")
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
    """Training samples -> a batch for the model: `pixel_values` (B, 3, S, S) float32, `id_maps` (B, S, S) or (B, P, S, S) int32,
    `segment_ids` and `class_labels` lists of (n,), `sample_keys` (B,); and `images`, which names them: B dicts of `image_id`,
    `sample_key`, `epoch`, `worker` and `row`; and `skipped`, why rows were left out. A batch that was trained on before is empty.

    Args:
        mean, std: that pixels in 0..1 are normalised with.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = mean, std

    def __call__(self, samples: list[dict | None]) -> dict:
        if samples[0] is None:
            return {}
        return {
            "pixel_values": normalize(torch.stack([sample["image"] for sample in samples]), self.mean, self.std),
            "id_maps": stack_id_maps([sample["id_map"] for sample in samples]),
            "segment_ids": [sample["segment_ids"] for sample in samples],
            "class_labels": [sample["class_labels"] for sample in samples],
            "sample_keys": torch.tensor([sample["sample_key"] for sample in samples]),
            "images": [{name: sample[name] for name in ("image_id", "sample_key", "epoch", "worker", "row")} for sample in samples],
            "skipped": [reason for sample in samples for reason in sample["skipped"]],
        }


def stack_id_maps(id_maps: Sequence[Tensor]) -> Tensor:
    """B maps (S, S) or (P, S, S) -> (B, S, S), or (B, P, S, S) with as many planes as the most has."""
    most = max(1 if id_map.ndim == 2 else len(id_map) for id_map in id_maps)
    if all(id_map.ndim == 2 for id_map in id_maps):
        return torch.stack(list(id_maps))
    stacked = torch.full((len(id_maps), most, *id_maps[0].shape[-2:]), PADDING_ID, dtype=id_maps[0].dtype)
    for planes, id_map in zip(stacked, id_maps, strict=True):
        planes[: 1 if id_map.ndim == 2 else len(id_map)] = id_map
    return stacked


def check_rank(world_size: int, rank: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank={rank} must be in 0..{world_size - 1}, world_size={world_size} being the number of processes")
