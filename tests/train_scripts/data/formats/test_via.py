"""VIA's regions: their shapes, where their classes are, and an error for each kind of bad region."""

import json

import numpy as np
import pytest

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.source import Options

SIZE = (20, 30)
CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]
BIRD = [20.0, 1.0, 25.0, 1.0, 25.0, 5.0, 20.0, 5.0]


def test_shapes_and_classes(photo, prepared, via_json, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    content = via_json([CAT], attributes=None)
    shapes = [
        {"name": "rect", "x": 14, "y": 2, "width": 4, "height": 6},
        {"name": "circle", "cx": 24, "cy": 4, "r": 3},
        {"name": "ellipse", "cx": 22, "cy": 14, "rx": 5, "ry": 2, "theta": 0.0},
    ]
    content["pets.png123"]["regions"] += [{"shape_attributes": shape, "region_attributes": {}} for shape in shapes]
    path = tmp_path / "via.json"
    path.write_text(json.dumps({"_via_img_metadata": content}))
    [sample] = prepared("via", tmp_path / "images", path, Options(classes=["pet"]))
    areas = [int((sample.id_map == segment).sum()) for segment in sample.segment_ids.tolist()]
    assert areas[:2] == [120, 24]
    assert areas[2] == pytest.approx(np.pi * 9, rel=0.1) and areas[3] == pytest.approx(np.pi * 10, rel=0.1)


def test_classes_that_cannot_be_determined(photo, prepared, via_json, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    path = tmp_path / "via.json"
    content = via_json([CAT])
    content["pets.png123"]["regions"][0]["region_attributes"] = {"animal": {"cat": True, "dog": False}, "note": "asleep"}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the class of 1 of 1 regions can't be determined. Name the attribute"):
        prepared("via", tmp_path / "images", path)
    [sample] = prepared("via", tmp_path / "images", path, Options(class_key="animal"))
    assert read_labels(tmp_path / "out").names == ["cat"] and len(sample.segment_ids) == 1
    content["pets.png123"]["regions"][0]["shape_attributes"] = {"name": "point", "cx": 1, "cy": 2}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has a split 'train' already"):
        prepared("via", tmp_path / "images", path, Options(class_key="animal"))


BAD_REGIONS = {
    "a point": (lambda region: region.update(shape_attributes={"name": "point", "cx": 1, "cy": 2}), "region 0 is a point"),
    "no class": (lambda region: region.update(region_attributes={}), "region 0 has no class in its attributes {}; classes are"),
    "no vertices": (
        lambda region: region.update(shape_attributes={"name": "polygon"}),
        "region 0 is a polygon that lacks 'all_points_x'",
    ),
}


@pytest.mark.parametrize("case", BAD_REGIONS)
def test_bad_regions(photo, prepared, via_json, tmp_path, case):
    spoil, said = BAD_REGIONS[case]
    photo(tmp_path / "images" / "pets.png", SIZE)
    content = via_json([CAT, BIRD])
    spoil(content["pets.png123"]["regions"][0])
    (tmp_path / "via.json").write_text(json.dumps(content))
    with pytest.raises(BadSample, match=said):
        prepared("via", tmp_path / "images", tmp_path / "via.json", Options(class_key="animal"))


def test_an_image_twice(photo, prepared, via_json, tmp_path):
    content = via_json([CAT])
    photo(tmp_path / "images" / "pets.png", SIZE)
    (tmp_path / "via.json").write_text(json.dumps({**content, "other": content["pets.png123"]}))
    with pytest.raises(ValueError, match=r"more than one entry of \['pets'\], suffixes aside. Merge"):
        prepared("via", tmp_path / "images", tmp_path / "via.json")
