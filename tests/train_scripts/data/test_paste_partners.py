"""Partners of copy-paste: of a similar kind, among the rows just before, the same in a resumed stream."""

import dataclasses

import pytest
import torch
from torch.utils.data import DataLoader

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.paste_partners import REMEMBERED, CopyPaste, Kind, PastePartners
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.training_sample import augment
from eomt.train_scripts.data.training_stream import TrainingStream, WorkerPosition, training_stream

PASTE = CopyPaste(0.7, scenes.LABELS.isthing)


def square(name: str, behind: tuple[int, int, int], inside: tuple[int, int, int] = (128, 128, 128), label: int = 0) -> Sample:
    """A square of 40 pixels on a ground of 80, at a place that its name decides."""
    image = torch.tensor(behind, dtype=torch.uint8)[:, None, None].repeat(1, 80, 80)
    ids, start = torch.zeros(80, 80, dtype=torch.int32), 4 * (ord(name[0]) % 10)
    ids[start : start + 40, start : start + 40] = 1
    image[:, ids == 1] = torch.tensor(inside, dtype=torch.uint8)[:, None]
    return Sample(name, image, ids, torch.tensor([1]), torch.tensor([label]), torch.tensor([False]))


DARK, GREY, STAINED, SKY = (5, 5, 5), (200, 200, 200), (220, 180, 200), (90, 130, 200)


def test_kinds():
    def kind(*colours, things=(True,)):
        return Kind.of(square("a", *colours), things)

    assert kind(DARK).background == (5, 5, 5) and kind(DARK).colourfulness == 0  # the grey square doesn't count as background
    assert kind(DARK, things=(False,)).background == pytest.approx([0.75 * 5 + 0.25 * 128] * 3)
    assert kind(SKY, things=(False,)).background == pytest.approx([0.75 * level + 0.25 * 128 for level in SKY])
    assert kind(DARK).is_like(kind((30, 30, 30), (250, 250, 250)))  # whatever the things look like
    assert not kind(DARK).is_like(kind(GREY)) and not kind(GREY).is_like(kind(DARK))
    assert not kind(GREY).is_like(kind(STAINED)) and kind(STAINED).is_like(kind((210, 190, 200)))
    assert not kind((200, 200, 200)).is_like(kind((204, 196, 200), (136, 128, 128)))  # one is grey: but a few levels of colour
    assert not kind(SKY).is_like(kind((210, 190, 200)))
    assert not kind((250, 250, 230)).is_like(kind((255, 210, 255)))  # a channel apart


def paste_all(samples: list[Sample], probability: float = 1.0) -> list[dict]:
    partners = PastePartners(CopyPaste(probability, [True, False]))
    augmentation = training_augmentation(80, 1.0, 1.0)
    return [partners.paste(augment(one, augmentation, row), one, row, key=row) for row, one in enumerate(samples, start=1)]


def test_things_are_pasted_within_a_kind_alone():
    mixed = [square("a", DARK), square("b", STAINED), square("c", DARK), square("d", GREY), square("e", STAINED)]
    pasted = paste_all(mixed)
    assert [len(one["segment_ids"]) for one in pasted] == [1, 1, 2, 1, 2]
    for one, sample in zip(pasted, mixed, strict=True):
        colours = set(map(tuple, one["image"].flatten(1).T.tolist()))
        assert colours == {tuple(sample.image[:, 79, 0].tolist()), (128, 128, 128)}
        assert one["image_id"] == sample.image_id and one["id_map"].unique().tolist() == [0, *one["segment_ids"].tolist()]
    assert [len(one["segment_ids"]) for one in paste_all(mixed, probability=0.0)] == [1] * 5


def test_stuff_and_crops_with_pasted_things_are_no_source():
    assert [len(one["segment_ids"]) for one in paste_all([square("a", DARK, label=1), square("b", DARK)])] == [1, 1]
    for one in paste_all([square("abcdefghij"[number % 10], DARK) for number in range(30)]):
        assert len(one["segment_ids"]) <= 2  # its own and the partner's own


def test_what_is_handed_out_is_not_what_is_remembered():
    """A worker's tensors move to shared memory when they are sent, at any time."""
    partners, augmentation = PastePartners(CopyPaste(1.0, [True])), training_augmentation(80, 1.0, 1.0)
    expected = paste_all([square("a", DARK), square("b", DARK)])[1]
    for row, one in enumerate((square("a", DARK), square("b", DARK)), start=1):
        pasted = partners.paste(augment(one, augmentation, row), one, row, key=row)
        if row == 1:
            for name in ("image", "id_map", "segment_ids", "class_labels"):
                pasted[name].zero_()
    assert_same([pasted], [expected])


def test_only_the_last_rows_are_remembered():
    between = [square("b", GREY)] * (REMEMBERED - 1)
    assert len(paste_all([square("a", DARK), *between, square("c", DARK)])[-1]["segment_ids"]) == 2
    assert len(paste_all([square("a", DARK), *between, square("b", GREY), square("c", DARK)])[-1]["segment_ids"]) == 1


def stream_of(folder, copy_paste: CopyPaste | None = PASTE, **options) -> TrainingStream:
    return training_stream(folder, "train", training_augmentation(32), 0, shuffle_buffer=16, copy_paste=copy_paste, **options)


def batches_of(stream: TrainingStream, workers: int, count: int) -> list[list[dict | None]]:
    loader = DataLoader(stream, batch_size=4, num_workers=workers, collate_fn=list)
    return [batch for batch, _ in zip(loader, range(count), strict=False)]


def assert_same(ones: list[dict], others: list[dict]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name


def flat(batches: list[list[dict]]) -> list[dict]:
    return [sample for batch in batches for sample in batch]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("trained", [1, 3, 9, 13])
def test_a_resumed_stream_pastes_the_same(folder, workers, trained):
    whole = batches_of(stream_of(folder), workers, 20)
    positions: dict[int, WorkerPosition] = {}
    for batch in whole[:trained]:
        worker, last = batch[-1]["worker"], batch[-1]
        positions[worker] = WorkerPosition(positions.get(worker, WorkerPosition()).batches + 1, last["epoch"], last["row"])
    stream = stream_of(folder)
    stream.resume(positions, batch_size=4)
    resumed = batches_of(stream, workers, 20)
    assert all(sample is None for batch in resumed[:trained] for sample in batch)
    assert_same(flat(resumed[trained:]), flat(whole[trained:]))
    plain = flat(batches_of(stream_of(folder, None), workers, 20))
    pasted = sum(not torch.equal(one["image"], two["image"]) for one, two in zip(flat(whole), plain, strict=True))
    assert 10 < pasted < 80


def test_rows_of_the_epoch_before_are_partners_as_well(folder):
    """Where a process and worker has few rows, each has partners: all but the first of the first epoch."""
    always = dataclasses.replace(PASTE, probability=1.0)
    share = {"world_size": 8, "rank": 3}

    def first(copy_paste: CopyPaste | None) -> list[dict]:
        return flat(batches_of(stream_of(folder, copy_paste, **share), 0, 8))

    plain, pasted = first(None), first(always)
    assert max(one["row"] for one in plain) < REMEMBERED and plain[-1]["epoch"] > 3
    same = [torch.equal(one["image"], two["image"]) for one, two in zip(plain, pasted, strict=True)]
    assert sum(same) < 8  # things of few, or of none of a similar kind


@pytest.mark.parametrize("trained", [1, 2, 3, 7])
def test_a_resumed_stream_of_few_rows_pastes_the_same(folder, trained):
    """The 16 rows before reach over several epochs."""
    whole = batches_of(stream_of(folder, world_size=8, rank=3), 0, 10)
    last = whole[trained - 1][-1]
    stream = stream_of(folder, world_size=8, rank=3)
    stream.resume({0: WorkerPosition(trained, last["epoch"], last["row"])}, batch_size=4)
    assert_same(flat(batches_of(stream, 0, 10)[trained:]), flat(whole[trained:]))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_reports_no_bad_row_twice(partly_bad, workers):
    def seen(positions: dict[int, WorkerPosition]) -> list[dict]:
        stream = stream_of(partly_bad, bad_samples="skip")
        stream.resume(positions, batch_size=1)
        return [one for one, _ in zip(DataLoader(stream, batch_size=None, num_workers=workers), range(12), strict=False)]

    whole = seen({})
    for trained in (2, 3, 5):
        positions: dict[int, WorkerPosition] = {}
        for one in whole[:trained]:
            before = positions.get(one["worker"], WorkerPosition()).batches
            positions[one["worker"]] = WorkerPosition(before + 1, one["epoch"], one["row"])
        resumed = seen(positions)
        assert resumed[:trained] == [None] * trained
        assert_same(resumed[trained:], whole[trained:])
    assert sum(len(one["skipped"]) for one in whole) > 1
    with pytest.raises(BadSample):
        list(zip(stream_of(partly_bad), range(6), strict=False))


def test_without_copy_paste_samples_are_what_they_were(folder):
    """Of a probability of 0 too: what is drawn for pasting changes nothing else."""
    plain = flat(batches_of(stream_of(folder, None), 0, 15))
    assert_same(flat(batches_of(stream_of(folder, dataclasses.replace(PASTE, probability=0.0)), 0, 15)), plain)


def test_pasted_samples_are_whole(folder):
    stream = stream_of(folder, dataclasses.replace(PASTE, probability=1.0))
    more = 0
    for sample, plain in zip(flat(batches_of(stream, 0, 20)), flat(batches_of(stream_of(folder, None), 0, 20)), strict=True):
        ids = sample["segment_ids"].tolist()
        assert len(set(ids)) == len(ids) == len(sample["class_labels"]) and sample["sample_key"] == plain["sample_key"]
        assert set(ids) <= set(sample["id_map"].unique().tolist())
        new = [label for one, label in zip(ids, sample["class_labels"].tolist(), strict=True) if one not in plain["segment_ids"]]
        assert all(scenes.LABELS.isthing[label] for label in new)
        more += len(new)
    assert more > 50


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="copy_paste=1.5 must be a probability, from 0 to 1"):
        CopyPaste(1.5, [True])
    with pytest.raises(ValueError, match="pastes things, but labels.json has none"):
        CopyPaste(0.5, [False])
