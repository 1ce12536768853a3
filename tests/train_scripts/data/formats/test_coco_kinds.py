"""COCO's instances as tools and people leave them: ids, crowds, holes, run lengths, orientations, categories."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import BadSample

SIZE = (20, 30)
CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]
HOLE = [4.0, 4.0, 8.0, 4.0, 8.0, 8.0, 4.0, 8.0]
BIRD = [20.0, 1.0, 25.0, 1.0, 25.0, 5.0, 20.0, 5.0]


@pytest.fixture
def run(photo, prepared, instances_json, tmp_path):
    """`run(spoil, options, polygons=..., exif=..., **policies)`: the samples of a photo whose json `spoil` changes."""

    def prepare_one(spoil, options=None, polygons=(CAT, BIRD), exif=None, size=SIZE, **policies):
        content = instances_json(list(polygons))
        spoil(content)
        photo(tmp_path / "images" / "pets.png", size)
        if exif:
            tags = Image.Exif()
            tags[0x0112] = exif
            with Image.open(tmp_path / "images" / "pets.png") as image:
                image.save(tmp_path / "images" / "pets.png", exif=tags)
        (tmp_path / "pets.json").write_text(json.dumps(content))
        return prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json", options, **policies)

    return prepare_one


@pytest.fixture
def report(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "train_report.json").read_text())


def changed(key: str, value):
    """A change of the first annotation."""
    return lambda content: content["annotations"][0].update({key: value})


ALONE = {
    "a box": (changed("segmentation", None), "without a polygon"),
    "an empty list": (changed("segmentation", []), "without a polygon"),
    "two points": (changed("segmentation", [[1, 2, 3, 4]]), "polygons of fewer than three points"),
    "unknown category": (changed("category_id", 99), "of categories that aren't listed"),
    "no category": (lambda content: content["annotations"][0].pop("category_id"), "of categories that aren't listed"),
    "unlisted image": (changed("image_id", 99), "of images that aren't listed"),
    "no image": (lambda content: content["annotations"][0].pop("image_id"), "without an image_id"),
    "broken run lengths": (changed("segmentation", {"size": list(SIZE), "counts": "5"}), "with broken run lengths"),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_bad_annotation_stops_or_is_left_out_alone(run, report, case):
    spoil, kind = ALONE[case]
    with pytest.raises(BadSample, match="annotation 0 ") as caught:
        run(spoil)
    words = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert "annotations out" in words and "--bad_samples skip" in words and "Error(" not in words
    [sample] = run(spoil, bad_samples="skip")
    assert sample.class_labels.tolist() == [1] and report()["left_out"] == {kind: 1}


def test_one_bad_polygon_of_several(run, report):
    [sample] = run(lambda content: content["annotations"][0]["segmentation"].append([5, 5, 9, 9]), bad_samples="skip")
    assert len(sample.segment_ids) == 2 and report()["left_out"] == {"polygons of fewer than three points": 1}


FORMLESS = {
    "no list": (lambda content: content.update(annotations=None), "has no list `annotations`"),
    "an image without id": (lambda content: content["images"][0].pop("id"), r"images\[0\] has no `id`"),
    "an image without name": (lambda content: content["images"][0].pop("file_name"), "the image of id 7 has no `file_name`"),
    "a category without name": (lambda content: content["categories"][0].pop("name"), r"categories\[0\] has no `id` or no `name`"),
    "two images of one id": (
        lambda content: content["images"].append({"id": 7, "file_name": "b.png"}),
        "has the image id 7 for pets.png and for b.png, so that which annotations belong to which can't be determined",
    ),
}


@pytest.mark.parametrize("case", FORMLESS)
def test_a_json_that_has_not_the_form(run, case):
    spoil, message = FORMLESS[case]
    with pytest.raises(ValueError, match=message):
        run(spoil)


def test_ids_as_text_and_images_that_come_twice(run, report):
    def spoil(content):
        content["images"].append(dict(content["images"][0]))
        content["annotations"][0].update(image_id="7", category_id="3")
        content["annotations"][1].update(image_id=7.0)

    [sample] = run(spoil)
    assert sample.class_labels.tolist() == [0, 1] and report()["repaired"] == {"entries of images that came twice": 1}


def brushed(content):
    counts = coco_mask.frPyObjects({"size": list(SIZE), "counts": [5, 100, 495]}, *SIZE)["counts"].decode()
    content["annotations"][0].update(segmentation={"size": list(SIZE), "counts": counts}, iscrowd=1)


def test_brush_masks_are_objects_and_crowds_are_crowds(run, report, tmp_path):
    with pytest.raises(ValueError, match="1 of 2 annotations have iscrowd = 1"):
        run(brushed)
    [sample] = run(brushed, polygons=[CAT])  # nothing but marked ones
    assert not sample.is_crowd.any() and list(report()["repaired"].values()) == [1]


@pytest.mark.parametrize(("choice", "expected"), [("objects", [False, False]), ("crowds", [True, False])])
def test_the_meaning_of_iscrowd_may_be_given(run, choice, expected):
    assert run(brushed, Options(crowds=choice))[0].is_crowd.tolist() == expected


def test_brush_masks_of_cvat_are_known_by_its_attributes(run):
    def spoil(content):
        brushed(content)
        content["annotations"][0]["attributes"] = {"occluded": False}

    assert not run(spoil)[0].is_crowd.any()


def test_few_crowds_among_many_objects_are_crowds(run):
    squares = [[x, y, x + 4, y, x + 4, y + 4, x, y + 4] for y in (0.0, 5.0, 10.0, 15.0) for x in (0.0, 5.0, 10.0, 15.0, 20.0)]
    assert int(run(brushed, polygons=squares)[0].is_crowd.sum()) == 1


@pytest.mark.parametrize(("area", "pixels"), [(120, 120), (104, 104), (None, 104)])
def test_a_polygon_inside_another_is_a_hole_unless_the_area_is_that_of_the_union(run, area, pixels):
    def spoil(content):
        content["annotations"][0].update(segmentation=[CAT, HOLE], area=area)

    [sample] = run(spoil, polygons=[CAT])
    assert int((sample.id_map > 0).sum()) == pixels


@pytest.mark.parametrize(("area", "pixels"), [(120, 120), (119.6, 120), (119, 119), (118, 119)])
def test_a_small_hole_goes_by_the_nearest_area(run, area, pixels):
    def spoil(content):
        content["annotations"][0].update(segmentation=[CAT, [5.0, 5.0, 6.0, 5.0, 6.0, 6.0, 5.0, 6.0]], area=area)

    [sample] = run(spoil, polygons=[CAT])
    assert int((sample.id_map > 0).sum()) == pixels


def test_run_lengths_as_python_prints_bytes(run):
    counts = coco_mask.frPyObjects({"size": list(SIZE), "counts": [5, 100, 495]}, *SIZE)["counts"]
    [sample] = run(changed("segmentation", {"size": list(SIZE), "counts": str(counts)}), polygons=[CAT])
    assert int((sample.id_map > 0).sum()) == 100


@pytest.mark.parametrize("turned", [False, True])
def test_run_lengths_whose_size_is_the_wrong_way_round(run, report, turned):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:5, 10:20] = 1
    stored = coco_mask.encode(np.asfortranarray(mask.T if turned else mask))["counts"].decode()

    def spoil(content, box=(10, 2, 10, 3)):
        content["annotations"][0].update(segmentation={"size": list(SIZE[::-1]), "counts": stored}, bbox=list(box))

    [sample] = run(spoil, polygons=[CAT])
    assert np.array_equal(sample.id_map > 0, mask) and report()["repaired"] == {"run lengths whose size has width before height": 1}


def test_a_box_that_fits_neither_way_says_nothing(run):
    counts = coco_mask.frPyObjects({"size": list(SIZE), "counts": [5, 100, 495]}, *SIZE)["counts"].decode()
    segmentation = {"size": list(SIZE[::-1]), "counts": counts}
    with pytest.raises(BadSample, match="its box doesn't say whether the size or the mask is turned"):
        run(changed("segmentation", segmentation), polygons=[CAT])


@pytest.mark.parametrize(("exif", "turns"), [(6, -1), (8, 1)])
def test_annotations_of_stored_pixels_are_turned_with_the_photo(run, report, exif, turns):
    [sample] = run(lambda content: None, polygons=[CAT], exif=exif)
    mask = np.zeros(SIZE, bool)
    mask[2:14, 2:12] = True
    assert np.array_equal(sample.id_map > 0, np.rot90(mask, turns)) and list(report()["repaired"].values()) == [1]


@pytest.mark.parametrize(("choice", "turns"), [("raw", 2), ("upright", 0)])
def test_half_turns_take_an_option(run, choice, turns):
    with pytest.raises(BadSample, match="Look at it and give --mask_orientation upright or --mask_orientation raw"):
        run(lambda content: None, exif=3)
    [sample] = run(lambda content: None, Options(mask_orientation=choice), polygons=[CAT], exif=3)
    mask = np.zeros(SIZE, bool)
    mask[2:14, 2:12] = True
    assert np.array_equal(sample.id_map > 0, np.rot90(mask, turns))


def test_a_class_may_be_the_group_of_others(run, tmp_path):
    def spoil(content):
        content["categories"] = [
            {"id": 1, "name": "animal", "supercategory": "animal"},
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 4, "name": "dog", "supercategory": "animal"},
        ]

    run(spoil)
    assert read_labels(tmp_path / "out").names == ["animal", "cat", "dog"]


def test_splits_may_list_other_categories(photo, instances_json, tmp_path):
    splits = []
    for name, categories in (("train", [(3, "cat"), (4, "dog")]), ("val", [(4, "cow"), (3, "dog"), (9, "cat")])):
        content = instances_json([CAT, BIRD], categories=[{"id": number, "name": text} for number, text in categories])
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        photo(tmp_path / name / "pets.png", SIZE)
        splits.append(Split(name, "coco_instances", tmp_path / name, tmp_path / f"{name}.json"))
    reports = prepare(splits, tmp_path / "out")
    assert read_labels(tmp_path / "out").names == ["cow", "dog", "cat"]
    assert reports["train"].class_segments == {"2": 1, "1": 1} and reports["val"].class_segments == {"1": 1, "0": 1}
