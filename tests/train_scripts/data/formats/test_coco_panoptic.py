"""COCO's panoptic form as tools write it: a folder of PNGs elsewhere, tables that don't fit, categories that say less."""

import json

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.formats.source import Options

IDS = np.zeros((20, 30), dtype=np.int64)
IDS[:5], IDS[10:] = 1000, 70000
SEGMENTS = [{"id": 1000, "category_id": 3}, {"id": 70000, "category_id": 4}]


@pytest.fixture
def run(tmp_path, photo, prepared):
    """`run(categories, segments, pngs)`: one photo, prepared."""

    def of(categories: list[dict], segments=SEGMENTS, pngs: str = "annotations/panoptic_train", options=None):
        photo(tmp_path / "train/a.jpg")
        (tmp_path / pngs).mkdir(parents=True)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        Image.fromarray(np.stack([IDS % 256, IDS // 256 % 256, IDS // 65536], -1).astype(np.uint8)).save(tmp_path / pngs / "a.png")
        images = [{"id": 1, "file_name": "a.jpg"}]
        annotations = [{"image_id": 1, "file_name": "a.png", "segments_info": segments}]
        path = tmp_path / "annotations/panoptic_train.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
        return prepared("coco_panoptic", tmp_path / "train", path, options)

    return of


CATEGORIES = [{"id": 3, "name": "cat", "isthing": 1}, {"id": 4, "name": "sky", "isthing": 0}]
BARE = [{"id": entry["id"], "name": entry["name"]} for entry in CATEGORIES]


@pytest.mark.parametrize("pngs", ["annotations/panoptic_train", "panoptic_train", "annotations"])
def test_where_the_pngs_are(run, pngs):
    [sample] = run(CATEGORIES, pngs=pngs)
    assert np.array_equal(sample.id_map, IDS)


def test_pngs_that_are_nowhere(run):
    with pytest.raises(ValueError, match="has its PNGs neither in .*annotations/panoptic_train nor in .*panoptic_train"):
        run(CATEGORIES, pngs="elsewhere")


def test_segments_without_a_pixel_are_counted(run, tmp_path):
    [sample] = run(CATEGORIES, [*SEGMENTS, {"id": 5, "category_id": 3}])
    assert sample.segment_ids.tolist() == [1000, 70000]
    assert json.loads((tmp_path / "out/train_report.json").read_text())["dropped"] == 1


def test_pixels_that_no_segment_has_are_refused(run):
    with pytest.raises(ValueError, match=r"id_map has the ids \[70000\], which segments lacks"):
        run(CATEGORIES, SEGMENTS[:1])


@pytest.mark.parametrize(("stuff", "isthing"), [([], [True, True]), (["sky"], [True, False])])
def test_categories_that_do_not_say_what_is_a_thing(run, tmp_path, stuff, isthing):
    run(BARE, options=Options(stuff=stuff))
    assert read_labels(tmp_path / "out") == Labels(["cat", "sky"], isthing)


def test_what_is_said_twice_or_not_at_all(run):
    with pytest.raises(ValueError, match=r"stuff=\['sky'\]: the categories of .* say by isthing what is stuff"):
        run(CATEGORIES, options=Options(stuff=["sky"]))


def test_entries_that_lack_something(run):
    with pytest.raises(ValueError, match="can't be read as COCO panoptic annotations: an entry lacks 'name'. Export it again"):
        run([{"id": 3}, {"id": 4}])
