"""Reports: counts of what a split holds, that add up over shards and come back from their files."""

import json

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.split_report import NAMED, SplitReport

LABELS = Labels(["sky", "cat", "dog"], [False, True, True])


def test_the_report_counts_what_is_there(ten_photos, put_mask, prepare_photos):
    put_mask(4, np.full((2, 4), 1, np.uint8))
    report, out = prepare_photos(), ten_photos / "out"
    assert (report.images, report.segments, report.pixels, report.void_pixels) == (10, 19, 80, 18)
    assert report.class_images == {"0": 9, "1": 10} and report.class_pixels == {"0": 27, "1": 35}
    assert report.sizes == {"4 x 2": 10} and not report.skipped
    text = report.text("train", read_labels(out))
    assert "train: 10 images, 19 segments (0 crowds; at most 2 in an image), 0 images without any" in text
    assert "sky     stuff         9         9     33.75" in text and "22.5 % void" in text
    assert SplitReport.load(out / "train_report.json") == report
    picture = Image.open(out / "train_samples.png")
    assert picture.width > 4 * 344 and picture.height > 5 * 168  # ten images with labels, two in a line


@pytest.fixture
def report(sample) -> SplitReport:
    """Of one image of 3 x 2 pixels: sky, a crowd of cats, void; and of one with two dogs that overlap."""
    report = SplitReport()
    report.add(sample([[1, 1, 0], [1, 5, 0]], {1: 0, 5: 1}, crowd=(5,)))
    report.add(sample([[[2, 2, 0], [0, 0, 0]], [[0, 3, 3], [0, 0, 0]]], {2: 2, 3: 2}))
    return report


def test_crowds_overlaps_and_void_are_counted(report):
    assert (report.images, report.segments, report.crowds, report.most_segments) == (2, 4, 1, 2)
    assert (report.overlapping, report.without_segments) == (1, 0)
    assert report.class_images == {"0": 1, "1": 1, "2": 1} and report.class_segments == {"0": 1, "1": 1, "2": 2}
    assert report.class_pixels == {"0": 3, "1": 1, "2": 4}  # each of the dogs whole


def test_reports_of_shards_add_up(sample):
    images = [sample([[1, 1]], {1: 0}), sample([[1, 2]], {1: 0, 2: 1}), sample([[0, 0]], {}), sample([[0], [3]], {3: 2})]
    whole, halves = SplitReport(), (SplitReport(), SplitReport())
    for index, image in enumerate(images):
        whole.add(image)
        halves[index % 2].add(image)
    for index in range(NAMED + 2):
        whole.skip("bad", f"reason {index:02d}")
        halves[index // 12].skip("bad", f"reason {index:02d}")
    halves[0].merge(halves[1])
    assert halves[0] == whole and whole.skipped == {"bad": NAMED + 2} and len(whole.skipped_named) == NAMED


def test_reports_are_stored_with_other_entries_that_loading_leaves_out(report, tmp_path):
    report.save(tmp_path / "report.json", digest="abc")
    assert json.loads((tmp_path / "report.json").read_text())["digest"] == "abc"
    assert SplitReport.load(tmp_path / "report.json") == report and [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_text_names_what_is_missing_and_left_out(report):
    report.skip("bad", "photo 7 is broken")
    report.skip("no segment", "photo 8")
    report.skip("bad", "photo 9 is broken")
    report.dropped = 3
    text = report.text("val", Labels([*LABELS.names, "cow"], [*LABELS.isthing, True]))
    assert text.startswith("val: 2 images, 4 segments (1 crowds; at most 2 in an image)")
    assert "3 segments without a pixel were left out" in text and "never seen: cow" in text
    assert text.endswith("left out: 2 bad, 1 no segment\n  photo 7 is broken\n  photo 8\n  photo 9 is broken")


def test_it_says_which_input_the_things_need(sample):
    """Four cells of 4 pixels: of a thing of an eighth of the image's long side 16 pixels in 128, of one of a fortieth in 640."""
    report = SplitReport()
    ids = np.zeros((80, 160), np.int32)
    ids[:40], ids[40:60, :20], ids[40:60, 20:40], ids[70:74, :4], ids[60:70, 50:60] = 1, 2, 3, 4, 5
    report.add(sample(ids.tolist(), {1: 0, 2: 1, 3: 2, 4: 1, 5: 1}, crowd=(5,)))
    line = next(line for line in report.text("train", LABELS).splitlines() if line.startswith("things:"))
    assert "half are narrower than 12.0 %" in line and "a tenth than 2.5 %; an input of 140 and 640 pixels" in line
    assert "5" not in report.class_sides and sum(report.class_sides.values()) == 4


def test_stuff_and_reports_without_sizes_say_nothing_of_things(sample):
    report = SplitReport()
    report.add(sample([[1, 1]], {1: 0}))
    assert "things:" not in report.text("train", LABELS)
    report.add(sample([[1, 2]], {1: 0, 2: 1}))
    report.class_sides.clear()  # as of an older version
    assert "things:" not in report.text("train", LABELS)
