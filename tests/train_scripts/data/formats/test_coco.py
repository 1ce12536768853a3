"""COCO's two official forms to parquet shards."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels, count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import decode_row

SIZE = (20, 30)
CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]
BIRD = [20.0, 1.0, 25.0, 1.0, 25.0, 5.0, 20.0, 5.0]


@pytest.fixture
def coco(tmp_path):
    """Three photos; category ids 3, 90 and 7 in this order; ids above 255; a crowd."""
    for name in ("photos", "coco"):
        (tmp_path / name).mkdir()
    images, annotations = [], []
    for number in range(3):
        Image.fromarray(np.full((6, 8, 3), 40 * number, np.uint8)).save(tmp_path / "photos" / f"{number:012d}.jpg")
        ids = np.zeros((6, 8, 3), np.uint8)
        ids[:3], ids[3:, :4] = (number + 1, 2, 1), (9, 0, 0)
        Image.fromarray(ids).save(tmp_path / "coco" / f"{number:012d}.png")
        table = [
            {"id": number + 1 + 512 + 65536, "category_id": 90, "iscrowd": 0, "area": 24, "bbox": [0, 0, 8, 3]},
            {"id": 9, "category_id": 7, "iscrowd": int(number == 1), "area": 12, "bbox": [0, 3, 4, 3]},
        ]
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": 6, "width": 8})
        annotations.append({"image_id": number, "file_name": f"{number:012d}.png", "segments_info": table})
    categories = [{"id": i, "name": name, "isthing": thing} for i, name, thing in ((3, "cat", 1), (90, "sky", 0), (7, "dog", 1))]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return tmp_path


def run(folder, split: str = "train", form: str = "coco_panoptic", **options) -> int:
    """How many images there are."""
    return prepare([Split(split, form, folder / "photos", folder / "coco.json")], folder / "out", **options)[split].images


def change(folder, edit) -> None:
    content = json.loads((folder / "coco.json").read_text())
    edit(content)
    (folder / "coco.json").write_text(json.dumps(content))


def test_classes_ids_and_crowds(coco):
    assert run(coco) == 3 == count_rows(coco / "out", "train")
    assert read_labels(coco / "out") == Labels(["cat", "sky", "dog"], [True, False, True])
    rows = list(load_split(coco / "out", "train"))
    assert [row["image_id"] for row in rows] == [f"{number:012d}" for number in range(3)]
    assert rows[2]["image"]["bytes"] == (coco / "photos" / "000000000002.jpg").read_bytes()
    sample = decode_row(rows[1], 3, "coco")
    assert sample.segment_ids.tolist() == [2 + 512 + 65536, 9] and sample.class_labels.tolist() == [1, 2]
    assert sample.is_crowd.tolist() == [False, True]
    assert sample.id_map[0, 0] == 2 + 512 + 65536 and sample.id_map[5, 0] == 9 and sample.id_map[5, 7] == 0


def test_a_second_split_joins_and_must_agree(coco):
    run(coco)
    run(coco, "val")
    assert count_rows(coco / "out", "val") == 3
    with pytest.raises(ValueError, match="has a split 'val' already"):
        run(coco, "val")
    change(coco, lambda content: content["categories"].pop(0))
    with pytest.raises(ValueError, match="other classes"):
        run(coco, "test")


def test_an_image_without_an_entry_is_reported(coco):
    change(coco, lambda content: content["annotations"].pop(1))
    with pytest.raises(ValueError, match="000000000001.jpg has no entry in the annotations of .*coco.json. Add one"):
        run(coco)
    assert run(coco, bad_samples="skip") == 2


@pytest.mark.parametrize("form", ["coco_panoptic", "coco_instances"])
def test_an_image_twice_is_reported(coco, form):
    change(coco, lambda c: c["images"].append({**c["images"][0], "id": 9, "file_name": "000000000001.png"}))
    change(coco, lambda c: c["annotations"].append({**c["annotations"][0], "image_id": 9, "category_id": 90}))
    change(coco, lambda c: [annotation.setdefault("category_id", 90) for annotation in c["annotations"]])
    with pytest.raises(ValueError, match=r"more than one entry of \['000000000001'\], suffixes aside"):
        run(coco, form=form)


def test_an_interrupted_conversion_starts_again(coco):
    photo = coco / "photos" / "000000000001.jpg"
    kept = photo.read_bytes()
    photo.unlink()
    with pytest.raises(ValueError, match="000000000001.jpg: no such file"):
        run(coco)
    with pytest.raises(ValueError, match="split 'train' is not in"):
        count_rows(coco / "out", "train")
    photo.write_bytes(kept)
    assert run(coco) == 3


def test_bad_annotations(coco):
    with pytest.raises(ValueError, match="annotations=.*nowhere.json: no such file"):
        prepare([Split("train", "coco_panoptic", coco, coco / "nowhere.json")], coco / "out")
    change(coco, lambda content: content["annotations"][2]["segments_info"][0].update(category_id=4))
    with pytest.raises(ValueError, match="image_id 2: category_id 4 is not in"):
        run(coco)
    change(coco, lambda content: content["images"].pop())
    with pytest.raises(ValueError, match="can't be read as COCO panoptic annotations"):
        run(coco)


def test_real_annotations(shared_data, tmp_path):
    folder = shared_data("coco_panoptic100")
    split = Split("train", "coco_panoptic", folder / "train2017", folder / "panoptic_train2017.json")
    report = prepare([split], tmp_path)["train"]
    assert (report.images, report.segments, report.crowds) == (100, 1111, 6)
    samples = [decode_row(row, 133, "coco") for row in load_split(tmp_path, "train")]
    assert sum(len(sample.segment_ids) for sample in samples) == 1111
    assert sum(int(sample.is_crowd.sum()) for sample in samples) == 6


def test_categories_that_stand_for_groups_are_no_classes(photo, prepared, instances_json, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    content = instances_json([CAT, BIRD])
    content["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "pets"},
        {"id": 4, "name": "dog", "supercategory": "pets"},
    ]
    content["annotations"][0]["segmentation"] = CAT  # flat, as some tools write them
    (tmp_path / "pets.json").write_text(json.dumps(content))
    [sample] = prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")
    assert read_labels(tmp_path / "out").names == ["cat", "dog"] and sample.class_labels.tolist() == [0, 1]


def test_run_lengths_and_crowds(photo, prepared, instances_json, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    counts = coco_mask.frPyObjects({"size": list(SIZE), "counts": [5, 100, 495]}, *SIZE)
    content = instances_json([CAT])
    content["annotations"].append(
        {"id": 9, "image_id": 7, "category_id": 4, "segmentation": {"size": list(SIZE), "counts": [500, 90, 10]}, "iscrowd": 1}
    )
    content["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": counts["counts"].decode()}
    (tmp_path / "pets.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="1 of 2 annotations have iscrowd = 1, which is a crowd .* Say which: --crowds objects or"):
        prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")
    [sample] = prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json", Options(crowds="crowds"))
    assert sample.is_crowd.tolist() == [False, True] and [int((sample.id_map == i).sum()) for i in (1, 2)] == [100, 90]


BAD_INSTANCES = {
    "a box": (lambda c: c["annotations"][0].pop("segmentation"), "annotation 0 has no segmentation, a box perhaps"),
    "another size": (
        lambda c: c["images"][0].update(height=30, width=20),
        r"annotations are of an image of 20 x 30 pixels, but it has 30 x 20",
    ),
    "unknown category": (
        lambda c: c["annotations"][0].update(category_id=99),
        "annotation 0 has category_id 99, which is not in the json's categories",
    ),
    "run lengths of another size": (
        lambda c: c["annotations"][0].update(segmentation={"size": [3, 3], "counts": [0, 9]}),
        r"run lengths of the size \[3, 3\], but the image is \[20, 30\]",
    ),
    "run lengths of too few pixels": (
        lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE), "counts": [100, 100]}),
        "run lengths that don't fill its 20 x 30 pixels",
    ),
    "broken run lengths": (
        lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE), "counts": "52"}),
        "annotation 0 has broken counts",
    ),
    "no counts": (
        lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE)}),
        "annotation 0 has a segmentation without `counts`",
    ),
    "text in place of polygons": (
        lambda c: c["annotations"][0].update(segmentation="1 2 3 4 5 6"),
        "annotation 0 has '1 2 3 4 5 6' as its segmentation",
    ),
    "two points": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "polygon of 4 numbers"),
    "no photo": (lambda c: c["images"][0].update(file_name="gone.png"), "gone.png: no such file"),
}


@pytest.mark.parametrize("case", BAD_INSTANCES)
def test_bad_instances(photo, prepared, instances_json, tmp_path, case):
    spoil, said = BAD_INSTANCES[case]
    content = instances_json([CAT])
    spoil(content)
    (tmp_path / "pets.json").write_text(json.dumps(content))
    photo(tmp_path / "images" / "pets.png", SIZE)
    with pytest.raises(BadSample, match=said):
        prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")
