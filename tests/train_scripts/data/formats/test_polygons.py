"""Polygons of COCO, YOLO and VIA: the same shapes give the same masks, overlaps stay whole, and what is wrong is named."""

import json
import re

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.run_lengths import segments_to_rles

SIZE = (20, 30)
CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]
DOG = [8.0, 8.0, 28.0, 8.0, 18.0, 18.0]  # over a corner of the cat
BIRD = [20.0, 1.0, 25.0, 1.0, 25.0, 5.0, 20.0, 5.0]
FAR = [200.0, 1.0, 250.0, 1.0, 250.0, 5.0]


def mask_of(polygon: list[float]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], *SIZE))).astype(bool)


def yolo_text(polygons: list[list[float]]) -> str:
    shares = [[edge / SIZE[1 - index % 2] for index, edge in enumerate(polygon)] for polygon in polygons]
    return "\n".join(f"{index % 2} " + " ".join(map(repr, polygon)) for index, polygon in enumerate(shares))


@pytest.fixture
def samples_of(photo, prepared, instances_json, via_json, tmp_path):
    """`samples_of(form, polygons)`: a photo with polygons, of cats and dogs by turns, in one of the formats."""

    def run(form: str, polygons: list[list[float]], options: Options | None = None, **policies):
        photo(tmp_path / "images" / "pets.png", SIZE)
        if form == "yolo":
            path = tmp_path / "labels"
            path.mkdir(exist_ok=True)
            (path / "pets.txt").write_text(yolo_text(polygons))
            (tmp_path / "data.yaml").write_text("names: {0: cat, 1: dog}")
        else:
            path = tmp_path / f"{form}.json"
            path.write_text(json.dumps(instances_json(polygons) if form == "coco_instances" else via_json(polygons)))
        return prepared(form, tmp_path / "images", path, options, **policies)

    return run


def test_a_polygon_is_drawn_as_by_pycocotools_and_several_are_joined():
    mask = polygon_mask([CAT, BIRD], SIZE, "pets", AnnotationNotes())
    assert np.array_equal(coco_mask.decode(mask), mask_of(CAT) | mask_of(BIRD))
    assert polygon_mask([[5.01, 5.01, 5.02, 5.01, 5.02, 5.02]], SIZE, "pets", AnnotationNotes()) is None


BAD = {
    "two points": ([1.0, 2.0, 3.0, 4.0], "pets has a polygon of 4 numbers; it takes x and y of three points or more"),
    "an odd number": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "pets has a polygon of 7 numbers"),
    "no number": ([1.0, 2.0, 3.0, float("nan"), 5.0, 6.0], "pets has a polygon of 6 numbers"),
    "far to the right": (FAR, r"from \[200.0, 1.0\] to \[250.0, 5.0\], outside the image of 30 x 20 pixels"),
    "far above": ([2.0, -1.6, 9.0, -1.6, 9.0, 9.0], r"from \[2.0, -1.6\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_polygons(case):
    polygon, message = BAD[case]
    notes = AnnotationNotes()
    assert np.array_equal(coco_mask.decode(polygon_mask([CAT, polygon], SIZE, "pets", notes)), mask_of(CAT))
    [fault] = notes.faults
    assert re.search(message, str(fault))
    assert polygon_mask([polygon], SIZE, "pets", notes) is None and len(notes.faults) == 2


FORMS = ["coco_instances", "yolo", "via"]


@pytest.mark.parametrize("form", FORMS)
def test_polygons_become_masks(samples_of, form, tmp_path):
    [sample] = samples_of(form, [CAT, BIRD])
    assert read_labels(tmp_path / "out") == Labels(["cat", "dog"], [True, True])
    assert sample.image_id == "pets" and sample.class_labels.tolist() == [0, 1] and sample.id_map.shape == SIZE
    for segment, polygon in zip(sample.segment_ids.tolist(), (CAT, BIRD), strict=True):
        assert np.array_equal(sample.id_map == segment, mask_of(polygon))


@pytest.mark.parametrize("form", FORMS)
def test_overlapping_polygons_stay_whole(samples_of, form):
    [sample] = samples_of(form, [CAT, DOG])
    assert sample.id_map.shape == (2, *SIZE)
    masks = [coco_mask.decode(rle).astype(bool) for rle in segments_to_rles(sample.id_map, sample.segment_ids.tolist())]
    assert np.array_equal(masks, [mask_of(CAT), mask_of(DOG)])


@pytest.mark.parametrize("form", FORMS)
def test_polygons_outside_the_image_are_bad(samples_of, form, tmp_path):
    with pytest.raises(BadSample, match=r"pets\.(png|txt).* outside the image") as caught:
        samples_of(form, [CAT, FAR])
    assert "bad_samples skip" in caught.value.__notes__[0]
    [sample] = samples_of(form, [CAT, FAR], bad_samples="skip")
    assert sample.class_labels.tolist() == [0]
    report = json.loads((tmp_path / "out" / "train_report.json").read_text())
    assert report["left_out"] == {"polygons outside their image": 1} and "outside the image" in report["left_out_named"][0]


@pytest.mark.parametrize("form", FORMS)
def test_an_image_that_lost_all_annotations_is_left_out(samples_of, form):
    options = None if form == "coco_instances" else Options(classes=["cat", "dog"])
    with pytest.raises(ValueError, match="no image that can be used; 1 were left out, .* No annotation is left"):
        samples_of(form, [FAR], options, bad_samples="skip", empty="keep")


@pytest.mark.parametrize("form", FORMS)
def test_an_edge_over_the_border_is_cut_off(samples_of, form):
    [sample] = samples_of(form, [[24.0, -1.0, 31.0, -1.0, 31.0, 5.0, 24.0, 5.0]])
    assert sample.id_map[:5, 24:].all() and sample.id_map.sum() == 30


@pytest.mark.parametrize("form", FORMS)
def test_images_without_segments(samples_of, form, tmp_path):
    options = None if form == "coco_instances" else Options(classes=["cat", "dog"])
    with pytest.raises(BadSample, match="pets.png.* has no segment. Mend the annotations"):
        samples_of(form, [], options)
    [sample] = samples_of(form, [], options, empty="keep")
    assert not sample.id_map.any() and len(sample.segment_ids) == 0


@pytest.mark.parametrize("form", FORMS)
def test_segments_without_a_pixel_are_left_out_and_counted(samples_of, form, tmp_path):
    sliver = [5.01, 5.01, 5.02, 5.01, 5.02, 5.02]
    [sample] = samples_of(form, [CAT, sliver, BIRD])
    assert sample.class_labels.tolist() == [0, 0] and sample.segment_ids.tolist() == [1, 2]
    assert json.loads((tmp_path / "out" / "train_report.json").read_text())["dropped"] == 1
