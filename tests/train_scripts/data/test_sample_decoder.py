"""The decoder of streams: the task's samples, and rows that can't be used raised or remembered."""

import pytest

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import load_split
from eomt.train_scripts.data.sample_decoder import SampleDecoder
from eomt.train_scripts.data.task_samples import instance_sample, panoptic_sample


def test_rows_become_samples_of_the_task():
    row = scenes.make_row(0, "train", 0)
    panoptic = SampleDecoder(scenes.LABELS, panoptic_sample, "here")(row)
    things = SampleDecoder(scenes.LABELS, instance_sample, "here")(row)
    assert panoptic.image_id == things.image_id == "train-00000"
    isthing = [scenes.LABELS.isthing[label] for label in panoptic.class_labels.tolist()]
    assert things.segment_ids.tolist() == panoptic.segment_ids[isthing].tolist() and not all(isthing)


def test_bad_rows_raise_with_a_way_out_or_are_remembered(partly_bad):
    rows = list(load_split(partly_bad, "train"))
    with pytest.raises(BadSample, match="here: image_id 'train-00001'") as caught:
        SampleDecoder(scenes.LABELS, panoptic_sample, "here")(rows[1])
    assert "bad_samples skip" in caught.value.__notes__[0]
    decode = SampleDecoder(scenes.LABELS, panoptic_sample, "here", bad_samples="skip")
    assert [decode(row) is None for row in rows] == [False, True, False, False, True, False]
    assert ["train-00001" in decode.skipped[0], "train-00004" in decode.skipped[1]] == [True, True]


def test_unknown_policies_are_refused():
    with pytest.raises(ValueError, match="bad_samples='drop' is unknown; choose one of raise, skip"):
        SampleDecoder(scenes.LABELS, panoptic_sample, "here", bad_samples="drop")
