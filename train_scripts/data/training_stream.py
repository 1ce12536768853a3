"""Endless training samples, shared out over processes and DataLoader workers.

The order of samples depends on the seed, the shuffle buffer, and the numbers of processes and workers. The augmentation of a
sample depends on the seed, the epoch and its image_id alone. With copy-paste, what is pasted over it depends on the 16 rows that
its worker has read before it as well, and so on all that the order depends on.

A run that was interrupted goes on with the rows that it had not trained on. For this, each sample says at which position of its
worker it was read, and [`TrainingStream.resume`] takes the positions of all workers back.

Shapes: S pixels of a crop's side, n segments of an image, P planes of an id map.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
from torch.utils.data import IterableDataset, get_worker_info

from eomt.randomness import key_of
from eomt.train_scripts.data.dataset_folder import Labels, load_split, read_labels, split_digest
from eomt.train_scripts.data.paste_partners import REMEMBERED, CopyPaste, PastePartners
from eomt.train_scripts.data.sample_decoder import SampleDecoder
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.sharing import check_rank, row_groups_or_rows
from eomt.train_scripts.data.task_samples import panoptic_sample
from eomt.train_scripts.data.training_sample import augment

# Shares of an epoch are drawn anew: one without a sample is no fault. After so many in a row there won't be any.
VAIN_EPOCHS, VAIN_ROWS = 10, 1000  # both, or `MOST_VAIN_EPOCHS`
MOST_VAIN_EPOCHS = 100


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
    copy_paste: CopyPaste | None = None,
) -> "TrainingStream":
    """The endless stream of one process; see [`TrainingStream`].

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.
        augmentation: (`tv_tensors.Image`, `tv_tensors.Mask`) -> the same, drawing from torch's global generator.
        seed: of order and augmentation.
        world_size, rank: the number of processes, and which of them this is.
        shuffle_buffer: encoded rows that each worker holds, of which it draws the next one.
        transform: a sample and the dataset's classes -> the sample of the task; see `task_samples`.
        bad_samples: one of `BAD_SAMPLES`: a row that can't be used raises, or is left out and reported with the next sample.
        copy_paste: how often things of another sample are pasted over one, see [`PastePartners`]; None: never.

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
    return TrainingStream(rows, decode, augmentation, seed, world_size, rank, shuffle_buffer, digest, copy_paste)


@dataclass(frozen=True)
class WorkerPosition:
    """How far one DataLoader worker of a process has come.

    Args:
        batches: that it has given since the run began.
        epoch: that it is in, counted from 0.
        rows: of its share of this epoch, that it has read.
    """

    batches: int = 0
    epoch: int = 0
    rows: int = 0


class TrainingStream(IterableDataset):
    """
    Epoch after epoch of augmented samples, each epoch in another order. Over all processes and workers an epoch has each row
    once.

    Yields dicts:

    - `image` (3, S, S) uint8, and `image_id`;
    - `id_map` (S, S) int32, or (P, S, S) where segments overlap;
    - `segment_ids` and `class_labels` (n,), of the segments that the crop shows, without crowds;
    - `sample_key`, an int that names image and epoch;
    - `worker`, `epoch`, and `row`, the number of the row in the worker's share of the epoch, counted from 1;
    - `skipped`, the reasons why rows between the last sample and this one were left out.

    After [`resume`] it yields None for each sample that was trained on before.

    A share without a row that can be used is passed over.

    Raises:
        ValueError: no row of the split can be used, or none of a worker's shares of many epochs in a row.
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
        copy_paste: CopyPaste | None = None,
    ):
        self.rows, self.decode, self.augmentation, self.seed = rows, decode, augmentation, seed
        self.world_size, self.rank, self.shuffle_buffer, self.digest = world_size, rank, shuffle_buffer, digest
        self.copy_paste = copy_paste
        self._positions: Mapping[int, WorkerPosition] = {}
        self._batch_size = 1

    @property
    def order(self) -> dict[str, int | str]:
        """What samples and their order depend on, beside the numbers of processes and workers."""
        return {"seed": self.seed, "shuffle_buffer": self.shuffle_buffer, "data_digest": self.digest}

    def resume(self, positions: Mapping[int, WorkerPosition], batch_size: int) -> None:
        """Makes iterations that begin later go on after `positions`, one for each worker that has given a batch.

        Batches of None stand for those that were trained on before. A DataLoader takes batches from its workers by turns, so
        each worker must give as many as it did; and the Trainer skips as many as it always does. For batches of None nothing is
        decoded. Of the epoch at hand the rows before are read but not decoded, and of past epochs nothing is read. With copy-paste
        the last 16 of the rows before are decoded and augmented again, since things of theirs may be pasted over those that come;
        within the first 16 rows of an epoch, some of these are of the epoch before.
        """
        self._positions, self._batch_size = dict(positions), batch_size

    def epoch_rows(self, epoch: int) -> datasets.IterableDataset:
        """This process's rows of an epoch, as a new stream. One stream with `set_epoch` would not do: all workers share the epoch
        that it sets, and they may be in different epochs."""
        order = key_of(self.seed, epoch) % (1 << 32)
        # one row group at a time: to read ahead from several takes threads, which hold up a worker when it ends
        shuffled = self.rows.shuffle(seed=order, buffer_size=self.shuffle_buffer, max_buffer_input_shards=1)
        return row_groups_or_rows(shuffled, self.world_size, self.rank)

    def __iter__(self) -> Iterator[dict | None]:
        worker = get_worker_info()
        index = 0 if worker is None else worker.id
        start = self._positions.get(index, WorkerPosition())
        yield from itertools.repeat(None, start.batches * self._batch_size)
        partners = None if self.copy_paste is None else PastePartners(self.copy_paste)
        vain_epochs, vain_rows = 0, 0  # since the last sample
        for epoch in itertools.count(start.epoch):
            rows = self.epoch_rows(epoch)
            if worker is not None and index >= rows.num_shards:
                return  # more workers than row groups: this one has none
            trained = start.rows if epoch == start.epoch else 0
            if partners is not None and epoch == start.epoch:
                self._recall(partners, epoch - 1, REMEMBERED - trained)
            read, used = yield from self._epoch_samples(rows, epoch, index, trained, partners)
            vain_epochs, vain_rows = (0, 0) if used else (vain_epochs + 1, vain_rows + read)
            alone = worker is None or min(worker.num_workers, rows.num_shards) == 1  # of its process
            always = alone and (self.world_size == 1 or not read)  # the next share has no other rows, or none either
            if vain_epochs and (always or _is_hopeless(vain_epochs, vain_rows)):
                raise self._nothing_to_train_on(vain_epochs, vain_rows)

    def _recall(self, partners: PastePartners, epoch: int, count: int) -> None:
        """Remembers the last `count` rows of a worker's share up to the end of an epoch, as if they had been trained on."""
        if epoch < 0 or count <= 0:
            return
        last, read = deque(maxlen=count), 0
        for row in self.epoch_rows(epoch):
            read += 1
            last.append((read, row))
        self._recall(partners, epoch - 1, count - read)
        for number, row in last:
            if (sample := self.decode(row)) is not None:
                key = key_of(self.seed, epoch, sample.image_id)
                partners.paste(augment(sample, self.augmentation, key), sample, number, key)
        self.decode.skipped = []  # reported before the interruption
        partners.end_epoch(read)

    def _epoch_samples(
        self, rows: datasets.IterableDataset, epoch: int, worker: int, trained: int, partners: PastePartners | None
    ) -> Generator[dict, None, tuple[int, int]]:
        """A worker's samples of an epoch, after the first `trained` rows.

        Returns:
            The numbers of its rows and of those that can be used, with the `trained` ones. Both may be 0.
        """
        read, used = 0, 0
        unneeded = trained - (0 if partners is None else REMEMBERED)  # rows
        for row in rows:
            read += 1
            if read <= unneeded:
                used += 1
                continue
            sample = self.decode(row)
            if read <= trained:
                self.decode.skipped = []  # reported before the interruption
            if sample is None:
                continue
            used += 1
            key = key_of(self.seed, epoch, sample.image_id)
            augmented = augment(sample, self.augmentation, key)
            if partners is not None:
                augmented = partners.paste(augmented, sample, read, key)
            if read <= trained:
                continue
            skipped, self.decode.skipped = self.decode.skipped, []
            yield {**augmented, "sample_key": key, "skipped": skipped, "worker": worker, "epoch": epoch, "row": read}
        if partners is not None:
            partners.end_epoch(read)
        return read, used

    def _nothing_to_train_on(self, epochs: int, rows: int) -> ValueError:
        """The error of a worker that would search for ever, after so many rows in vain."""
        if not rows:
            return ValueError(
                f"{self.decode.source}: too few rows for world_size={self.world_size} processes and their workers. "
                "Use fewer of them."
            )
        of_epochs = f" of {epochs} epochs" if epochs > 1 else ""
        return ValueError(f"{self.decode.source}: none of {rows} rows{of_epochs} can be used; the first: {self.decode.skipped[0]}")


def _is_hopeless(epochs: int, rows: int) -> bool:
    """Whether a worker that has had no sample for so long won't have one. Another share of the split may have been fine."""
    return epochs >= MOST_VAIN_EPOCHS or (epochs >= VAIN_EPOCHS and rows >= VAIN_ROWS)
