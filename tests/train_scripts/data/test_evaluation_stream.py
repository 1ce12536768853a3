"""One pass: each row once at any number of processes, at its own size."""

import pytest
from torch.utils.data import DataLoader

from eomt import EomtImageProcessor
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.evaluation_stream import collate_evaluation, evaluation_stream

ROWS = 50  # of `folder`


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_shares_have_each_row_once_at_its_own_size(folder, world_size):
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
    names, counts = [], []
    for rank in range(world_size):
        stream, before = evaluation_stream(folder, "train", processor, world_size, rank), len(names)
        for batch in DataLoader(stream, batch_size=4, collate_fn=collate_evaluation):
            assert batch["pixel_values"].shape == (len(batch["samples"]), 3, 64, 64)
            assert all(sample.id_map.shape == (112, 112) for sample in batch["samples"])
            names += [sample.image_id for sample in batch["samples"]]
        counts.append(len(names) - before)
    assert counts[0] == len(stream) and min(counts) >= len(stream) - 1
    assert sorted(names) == sorted(f"train-{index:05d}" for index in range(ROWS))


def test_evaluation_leaves_bad_rows_out_and_remembers_them(partly_bad):
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
    stream = evaluation_stream(partly_bad, "train", processor, bad_samples="skip")
    for _ in range(2):
        assert [example["sample"].image_id[-1] for example in stream] == list("0235")
        assert len(stream.skipped) == 2
    with pytest.raises(ValueError, match="train-00001"):
        list(evaluation_stream(partly_bad, "train", processor))


def test_images_of_too_many_windows_are_bad_samples(partly_bad, monkeypatch):
    monkeypatch.setattr("eomt.train_scripts.data.window_limit.MOST_WINDOWS", 0)
    processor = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True, do_pad=False)
    stream = evaluation_stream(partly_bad, "train", processor, bad_samples="skip")
    assert not list(stream) and "train-00000 is 112 x 112 and needs 1 windows, of 0 at most; crop it" in stream.skipped[0]
    with pytest.raises(BadSample, match="train-00000 is 112 x 112"):
        list(evaluation_stream(partly_bad, "train", processor))
