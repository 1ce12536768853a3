"""Streams: each row once an epoch at any number of processes and workers, augmentation that depends on neither."""

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.sharing import EVEN_GROUPS
from eomt.train_scripts.data.training_collator import TrainingCollator
from eomt.train_scripts.data.training_stream import WorkerPosition, training_stream

ROWS = 50
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def epochs_of(folder, world_size: int, rank: int, workers: int, epochs: int = 2, seed: int = 0) -> list[dict]:
    """What a process sees in its first epochs, without images, each with a fingerprint of the image."""
    stream = training_stream(folder, "train", training_augmentation(32), seed, world_size, rank, shuffle_buffer=16)
    seen = []
    for sample in DataLoader(stream, batch_size=None, num_workers=workers):
        if sample["epoch"] >= epochs + 2:  # by then all workers have passed the epochs asked for
            break
        if sample["epoch"] < epochs:
            sample["print"] = (sample["image"].sum().item(), sample["id_map"].sum().item())
            seen.append(sample)
    return seen


@pytest.mark.parametrize(("world_size", "workers"), [(1, 0), (2, 2), (3, 1)])
def test_each_row_comes_once_an_epoch(folder, world_size, workers):
    seen = [sample for rank in range(world_size) for sample in epochs_of(folder, world_size, rank, workers)]
    for epoch in range(2):
        counts = Counter(sample["image_id"] for sample in seen if sample["epoch"] == epoch)
        assert len(counts) == ROWS and set(counts.values()) == {1}


def test_whole_row_groups_are_shared_out_when_there_are_enough(folder, monkeypatch):
    assert training_stream(folder, "train", training_augmentation(32), 0).rows.num_shards < EVEN_GROUPS * 2
    monkeypatch.setattr("eomt.train_scripts.data.sharing.EVEN_GROUPS", 1)
    test_each_row_comes_once_an_epoch(folder, 2, 2)


def test_augmentation_is_the_same_in_any_process_and_differs_between_epochs_and_seeds(folder):
    def prints(samples):
        return {(sample["image_id"], sample["epoch"]): (sample["print"], sample["sample_key"]) for sample in samples}

    alone = prints(epochs_of(folder, 1, 0, 0))
    shared = [prints(epochs_of(folder, 2, rank, 1)) for rank in range(2)]
    assert alone == shared[0] | shared[1]
    assert all(alone[name, 0] != alone[name, 1] for name, epoch in alone)
    other = prints(epochs_of(folder, 1, 0, 0, seed=1))
    assert all(alone[image] != other[image] for image in alone)


def test_order_is_reproducible_and_changes_with_the_epoch(folder):
    first, second = (epochs_of(folder, 1, 0, 0) for _ in range(2))
    names = [sample["image_id"] for sample in first]
    assert names == [sample["image_id"] for sample in second]
    assert names[:ROWS] != names[ROWS:] and names[:ROWS] != sorted(names[:ROWS])


def test_the_global_generator_is_left_alone(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    next(iter(training_stream(folder, "train", training_augmentation(32), 0)))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_goes_on_after_the_positions_of_its_workers(folder, workers):
    """With batches of None for those before, also when workers are in different epochs."""

    def batches(positions: dict[int, WorkerPosition], count: int) -> list[list[dict | None]]:
        stream = training_stream(folder, "train", training_augmentation(32), 0, shuffle_buffer=16)
        stream.resume(positions, batch_size=4)
        loader = DataLoader(stream, batch_size=4, num_workers=workers, collate_fn=list)
        return [batch for batch, _ in zip(loader, range(count), strict=False)]

    def names(some: list[list[dict]]) -> list[tuple]:
        fields = ("image_id", "sample_key", "worker", "epoch", "row")
        return [tuple(sample[field] for field in fields) for batch in some for sample in batch]

    whole, trained = batches({}, 20), 13
    positions = {}
    for batch in whole[:trained]:
        worker, last = batch[-1]["worker"], batch[-1]
        positions[worker] = WorkerPosition(positions.get(worker, WorkerPosition()).batches + 1, last["epoch"], last["row"])
    resumed = batches(positions, 20)
    assert all(sample is None for batch in resumed[:trained] for sample in batch)
    assert names(resumed[trained:]) == names(whole[trained:]) and whole[-1][-1]["epoch"] == 1


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_more_processes_or_workers_than_rows(folder):
    stream = training_stream(folder, "few", training_augmentation(32), 0, world_size=4, rank=3)
    with pytest.raises(ValueError, match="too few rows for world_size=4"):
        next(iter(stream))
    stream = training_stream(folder, "few", training_augmentation(32), 0)
    samples = iter(DataLoader(stream, batch_size=None, num_workers=3))  # two row groups: the third worker has none
    assert {next(samples)["image_id"] for _ in range(4)} == {"val-00000", "val-00001"}


def test_arguments_are_checked(folder):
    with pytest.raises(ValueError, match="rank=2 must be in 0..1"):
        training_stream(folder, "train", training_augmentation(32), 0, world_size=2, rank=2)
    with pytest.raises(ValueError, match="shuffle_buffer=0"):
        training_stream(folder, "train", training_augmentation(32), 0, shuffle_buffer=0)


def test_a_bad_row_names_folder_and_image(tmp_path):
    row = scenes.make_row(0, "train", 3)
    row["segments"][0]["category"] = 99
    write_labels(tmp_path, scenes.LABELS)
    write_split(tmp_path, "train", [row], 1)
    with pytest.raises(ValueError, match=f"{tmp_path}, split train: image_id 'train-00003'.*99"):
        next(iter(training_stream(tmp_path, "train", training_augmentation(32), 0)))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_rows_are_left_out_and_told_with_the_next_sample(partly_bad, workers):
    stream = training_stream(partly_bad, "train", training_augmentation(32), 0, bad_samples="skip")
    loader = iter(DataLoader(stream, batch_size=2, collate_fn=TrainingCollator(MEAN, STD), num_workers=workers))
    batches = [next(loader) for _ in range(6)]
    images = [image for batch in batches for image in batch["images"]]
    assert {image["image_id"] for image in images} == {f"train-{index:05d}" for index in (0, 2, 3, 5)}
    first = [reason for batch in batches for reason in batch["skipped"]]
    assert any("train-00001': image : can't be decoded" in reason for reason in first)
    assert any("train-00004': id_map has the ids" in reason for reason in first)
    with pytest.raises(ValueError, match="bad_samples='drop' is unknown; choose one of raise, skip"):
        training_stream(partly_bad, "train", training_augmentation(32), 0, bad_samples="drop")


def test_bad_rows_raise_by_default_and_nothing_but_bad_ones_always(partly_bad, tmp_path):
    with pytest.raises(ValueError, match="image_id 'train-0000[14]'") as caught:
        list(zip(training_stream(partly_bad, "train", training_augmentation(32), 0), range(6), strict=False))
    assert "bad_samples skip" in caught.value.__notes__[0]
    row = scenes.make_row(0, "train", 0)
    row["segments"] = []
    write_split(tmp_path, "none", [row], 1)
    with pytest.raises(ValueError, match="none of 1 rows can be used; the first: .*id_map has the ids"):
        next(iter(training_stream(tmp_path, "none", training_augmentation(32), 0, bad_samples="skip")))


def images_of(folder, world_size: int, workers: int, epochs: int) -> Counter:
    """How often each image comes in the first epochs, over all processes."""
    images = Counter()
    for rank in range(world_size):
        stream, last = training_stream(folder, "train", training_augmentation(32), 0, world_size, rank, bad_samples="skip"), {}
        for sample in DataLoader(stream, batch_size=None, num_workers=workers):
            last[sample["worker"]] = sample["epoch"]
            if len(last) == max(1, workers) and min(last.values()) >= epochs:
                break
            if sample["epoch"] < epochs:
                images[sample["image_id"]] += 1
    return images


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("world_size", "workers"), [(1, 3), (3, 2)])
def test_a_share_without_a_row_that_can_be_used_is_passed_over(partly_bad, world_size, workers):
    """Of six rows in as many row groups two are bad; with six workers in all, each has one row an epoch."""
    assert images_of(partly_bad, world_size, workers, epochs=4) == {f"train-{index:05d}": 4 for index in (0, 2, 3, 5)}


def test_a_share_without_rows_is_passed_over(tmp_path, monkeypatch):
    """Of row groups of 3 and 2 rows, the third of 3 processes has a row in one worker and none in the other."""
    monkeypatch.setattr("eomt.train_scripts.data.shard_writer.MIN_GROUPS", 1)
    write_labels(tmp_path, scenes.LABELS)
    write_split(tmp_path, "train", (scenes.make_row(0, "train", index) for index in range(5)), 5, rows_a_shard=3)
    assert images_of(tmp_path, 3, 2, epochs=4) == {f"train-{index:05d}": 4 for index in range(5)}


def test_a_resumed_stream_passes_over_the_same_shares(partly_bad):
    """The reasons are told again with the sample that follows them, if that was not trained on."""

    def samples(position: WorkerPosition | None, count: int) -> list[dict | None]:
        stream = training_stream(partly_bad, "train", training_augmentation(32), 0, 6, 0, bad_samples="skip")
        stream.resume({} if position is None else {0: position}, batch_size=1)
        return [sample for sample, _ in zip(stream, range(count), strict=False)]

    whole = samples(None, 8)
    assert [sample["epoch"] for sample in whole] != list(range(8))
    for trained in range(1, 8):
        resumed = samples(WorkerPosition(trained, whole[trained - 1]["epoch"], whole[trained - 1]["row"]), 8)
        assert resumed[:trained] == [None] * trained
        for name in ("image_id", "epoch", "row", "skipped"):
            assert [sample[name] for sample in resumed[trained:]] == [sample[name] for sample in whole[trained:]]


def test_a_share_without_a_sample_for_many_epochs_is_an_error(partly_bad, monkeypatch):
    monkeypatch.setattr("eomt.train_scripts.data.training_stream.MOST_VAIN_EPOCHS", 3)
    row = scenes.make_row(0, "train", 0)
    row["segments"] = []
    write_split(partly_bad, "none", [row] * 6, 6)
    with pytest.raises(ValueError, match="none of 9 rows of 3 epochs can be used; the first: .*id_map has the ids"):
        next(iter(training_stream(partly_bad, "none", training_augmentation(32), 0, 2, 0, bad_samples="skip")))
    monkeypatch.setattr("eomt.train_scripts.data.training_stream.VAIN_EPOCHS", 2)
    monkeypatch.setattr("eomt.train_scripts.data.training_stream.VAIN_ROWS", 6)
    with pytest.raises(ValueError, match="none of 6 rows of 2 epochs can be used"):
        next(iter(training_stream(partly_bad, "none", training_augmentation(32), 0, 2, 0, bad_samples="skip")))
