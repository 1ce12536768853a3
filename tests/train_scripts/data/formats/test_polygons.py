"""Polygons of COCO, YOLO and VIA: the same shapes give the same masks, overlaps stay whole, and what is wrong is named."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.data.samples import BadSample

SIZE = (20, 30)
CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]
DOG = [8.0, 8.0, 28.0, 8.0, 18.0, 18.0]  # over a corner of the cat
BIRD = [20.0, 1.0, 25.0, 1.0, 25.0, 5.0, 20.0, 5.0]
FAR = [200.0, 1.0, 250.0, 1.0, 250.0, 5.0]


def mask_of(polygon: list[float]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], *SIZE))).astype(bool)


def coco_json(polygons: list[list[float]], **changes) -> dict:
    annotations = [
        {"id": place, "image_id": 7, "category_id": 3 + place % 2, "segmentation": [polygon], "iscrowd": 0}
        for place, polygon in enumerate(polygons)
    ]
    categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    image = {"id": 7, "file_name": "pets.png", "height": SIZE[0], "width": SIZE[1]}
    return {"images": [image], "annotations": annotations, "categories": categories} | changes


def via_json(polygons: list[list[float]], attributes=("cat", "dog")) -> dict:
    regions = [
        {
            "shape_attributes": {"name": "polygon", "all_points_x": polygon[::2], "all_points_y": polygon[1::2]},
            "region_attributes": {"animal": attributes[place % 2]} if attributes else {},
        }
        for place, polygon in enumerate(polygons)
    ]
    return {"pets.png123": {"filename": "pets.png", "size": 123, "regions": regions, "file_attributes": {}}}


def yolo_text(polygons: list[list[float]]) -> str:
    shares = [[edge / SIZE[1 - place % 2] for place, edge in enumerate(polygon)] for polygon in polygons]
    return "\n".join(f"{place % 2} " + " ".join(map(repr, polygon)) for place, polygon in enumerate(shares))


@pytest.fixture
def samples_of(photo, prepared, tmp_path):
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
            path.write_text(json.dumps(coco_json(polygons) if form == "coco_instances" else via_json(polygons)))
        return prepared(form, tmp_path / "images", path, options, **policies)

    return run


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
    found = [coco_mask.decode(rle).astype(bool) for rle in segments_to_rles(sample.id_map, sample.segment_ids.tolist())]
    assert np.array_equal(found, [mask_of(CAT), mask_of(DOG)])


@pytest.mark.parametrize("form", FORMS)
def test_polygons_outside_the_image_are_bad(samples_of, form):
    with pytest.raises(BadSample, match=r"pets\.(png|txt).* outside the image") as caught:
        samples_of(form, [CAT, FAR])
    assert "bad_samples skip" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="no image that can be used; 1 were left out"):
        samples_of(form, [CAT, FAR], bad_samples="skip")


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


def test_options_of_other_formats_are_refused(samples_of):
    with pytest.raises(ValueError, match="classes, kind mean nothing for the format coco_instances"):
        samples_of("coco_instances", [CAT], Options(classes=["a"], kind="semantic"))


def test_categories_that_stand_for_groups_are_no_classes(photo, prepared, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    content = coco_json([CAT, BIRD])
    content["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "pets"},
        {"id": 4, "name": "dog", "supercategory": "pets"},
    ]
    content["annotations"][0]["segmentation"] = CAT  # flat, as some tools write them
    (tmp_path / "pets.json").write_text(json.dumps(content))
    [sample] = prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")
    assert read_labels(tmp_path / "out").names == ["cat", "dog"] and sample.class_labels.tolist() == [0, 1]


def test_classes_may_be_stuff(samples_of, tmp_path):
    samples_of("yolo", [CAT], Options(stuff=["dog"]))
    assert read_labels(tmp_path / "out").isthing == [True, False]
    with pytest.raises(ValueError, match=r"stuff=\['cow'\] names \['cow'\], which are no classes; those are \['cat', 'dog'\]"):
        samples_of("yolo", [CAT], Options(stuff=["cow"]))


def test_run_lengths_and_crowds_of_coco(photo, prepared, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    counts = coco_mask.frPyObjects({"size": list(SIZE), "counts": [5, 100, 495]}, *SIZE)
    content = coco_json([CAT])
    content["annotations"].append(
        {"id": 9, "image_id": 7, "category_id": 4, "segmentation": {"size": list(SIZE), "counts": [500, 90, 10]}, "iscrowd": 1}
    )
    content["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": counts["counts"].decode()}
    (tmp_path / "pets.json").write_text(json.dumps(content))
    [sample] = prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")
    assert sample.is_crowd.tolist() == [False, True] and [int((sample.id_map == i).sum()) for i in (1, 2)] == [100, 90]


COCO = {
    "a box": (lambda c: c["annotations"][0].pop("segmentation"), "annotation 0 has no segmentation, a box perhaps"),
    "another size": (lambda c: c["images"][0].update(height=30, width=20), r"says 20 x 30 pixels, but the .* image has 30 x 20"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=99), "category_id 99 is not in the json's categories"),
    "run lengths of another size": (
        lambda c: c["annotations"][0].update(segmentation={"size": [3, 3], "counts": [0, 9]}),
        r"run lengths of size \[3, 3\], but the image is \[20, 30\]",
    ),
    "run lengths of too few pixels": (
        lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE), "counts": [100, 100]}),
        "run lengths that fill 200 pixels of 600",
    ),
    "broken run lengths": (
        lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE), "counts": "52"}),
        "segmentation has broken counts",
    ),
    "no counts": (lambda c: c["annotations"][0].update(segmentation={"size": list(SIZE)}), "pets.png: KeyError.'counts'"),
    "two points": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "polygon of 4 numbers"),
    "no photo": (lambda c: c["images"][0].update(file_name="gone.png"), "gone.png: no such file"),
}


@pytest.mark.parametrize("case", COCO)
def test_bad_instances_of_coco(photo, prepared, tmp_path, case):
    spoil, said = COCO[case]
    content = coco_json([CAT])
    spoil(content)
    (tmp_path / "pets.json").write_text(json.dumps(content))
    photo(tmp_path / "images" / "pets.png", SIZE)
    with pytest.raises(BadSample, match=said):
        prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json")


YOLO = {
    "a box": ("0 .5 .5 .2 .2", "line 1 has a box, not a polygon"),
    "unknown class": ("2 .1 .1 .5 .1 .5 .5", r"line 1 has the class 2; allowed are 0..1"),
    "pixels": ("0 10 10 20 10 20 18", "at 20: they must be shares, not pixels"),
    "words": ("\n0 .1 .1 .5 .1 .5 .5\ncat .1 .1", "line 3: 'cat .1 .1' are not numbers"),
    "an odd number": ("0 .1 .1 .5 .1 .5 .5 .7", "line 1 has a polygon of 7 numbers"),
}


@pytest.mark.parametrize("case", YOLO)
def test_bad_lines_of_yolo(photo, prepared, tmp_path, case):
    text, said = YOLO[case]
    photo(tmp_path / "images" / "pets.png", SIZE)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text(text)
    with pytest.raises(BadSample, match=said):
        prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat", "dog"]))


@pytest.mark.parametrize("quoted", [False, True])
def test_yolo_names_by_index(photo, prepared, tmp_path, quoted):
    names = {str(index) if quoted else index: f"class {index}" for index in reversed(range(12))}
    photo(tmp_path / "images" / "pets.png", SIZE)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text("10 .1 .1 .5 .1 .5 .5")
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": names}))
    prepared("yolo", tmp_path / "images", tmp_path / "labels")
    assert read_labels(tmp_path / "out").names == [f"class {index}" for index in range(12)]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": {1: "cat", 2: "dog"}}))
    with pytest.raises(ValueError, match=r"the keys of names are \[1, 2\], but must be 0..1"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels")


def test_yolo_names_partners_and_photos_turned_by_exif(photo, prepared, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be shown upright
    photo(tmp_path / "images" / "pets.jpg", (20, 30), exif=exif)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text("0 0 0 1 0 1 .5 0 .5")
    with pytest.raises(ValueError, match="has `names`; give the classes"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels")
    [sample] = prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat"]))
    assert sample.id_map.shape == (30, 20) and sample.id_map[:15].all() and not sample.id_map[15:].any()
    (tmp_path / "labels" / "lost.txt").write_text("")
    with pytest.raises(ValueError, match="lost.txt has no image of the same stem"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat"]))


def test_shapes_and_classes_of_via(photo, prepared, tmp_path):
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
    assert areas[:2] == [mask_of(CAT).sum(), 24]
    assert areas[2] == pytest.approx(np.pi * 9, rel=0.1) and areas[3] == pytest.approx(np.pi * 10, rel=0.1)


def test_classes_of_via_that_cannot_be_told(photo, prepared, tmp_path):
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


VIA = {
    "a point": (lambda region: region.update(shape_attributes={"name": "point", "cx": 1, "cy": 2}), "region 0 is a point"),
    "no class": (lambda region: region.update(region_attributes={}), "region 0 has no class in its attributes {}; classes are"),
    "no vertices": (lambda region: region.update(shape_attributes={"name": "polygon"}), "pets.png: KeyError.'all_points_x'"),
}


@pytest.mark.parametrize("case", VIA)
def test_bad_regions_of_via(photo, prepared, tmp_path, case):
    spoil, said = VIA[case]
    photo(tmp_path / "images" / "pets.png", SIZE)
    content = via_json([CAT, BIRD])
    spoil(content["pets.png123"]["regions"][0])
    (tmp_path / "via.json").write_text(json.dumps(content))
    with pytest.raises(BadSample, match=said):
        prepared("via", tmp_path / "images", tmp_path / "via.json", Options(class_key="animal"))


def test_an_image_twice_in_via(photo, prepared, tmp_path):
    content = via_json([CAT])
    (tmp_path / "via.json").write_text(json.dumps({**content, "other": content["pets.png123"]}))
    with pytest.raises(ValueError, match=r"more than one entry of \['pets'\], suffixes aside. Merge"):
        prepared("via", tmp_path / "images", tmp_path / "via.json")
