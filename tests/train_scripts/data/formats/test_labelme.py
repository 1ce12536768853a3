"""LabelMe's shapes, parts of one object, images that a json holds, and what is left out."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, load_split, read_labels
from eomt.train_scripts.data.formats import labelme
from eomt.train_scripts.data.formats.detection import Split, detect_format, find_splits
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import BadSample

SIZE = (20, 30)
CAT = {"label": "cat", "points": [[2, 2], [12, 2], [12, 14], [2, 14]], "shape_type": "polygon", "group_id": None}


@pytest.fixture
def shapes_json(photo, tmp_path):
    """`shapes_json(shapes, name="pets", **changes)`: a photo of 20 x 30 pixels with a json of LabelMe."""

    def write(shapes: list[dict], name: str = "pets", **changes):
        photo(tmp_path / "set" / f"{name}.png", SIZE)
        content = {"shapes": shapes, "imagePath": f"{name}.png", "imageData": None, "imageHeight": 20, "imageWidth": 30}
        (tmp_path / "set" / f"{name}.json").write_text(json.dumps(content | changes))
        return tmp_path / "set"

    return write


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_each_kind_of_shape(shapes_json, prepared, tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:5] = True
    shapes = [
        CAT,
        {"label": "dog", "points": [[14, 2], [18, 8]], "shape_type": "rectangle"},
        {"label": "cow", "points": [[24, 5], [24, 8]], "shape_type": "circle"},
        {"label": "dog", "points": [[14, 12], [19, 15]], "shape_type": "mask", "mask": coded(png(mask))},
    ]
    folder = shapes_json(shapes)
    assert find_splits(folder) == [Split("train", "labelme", folder, folder)] and detect_format(folder) == "labelme"
    [sample] = prepared("labelme", folder, folder)
    assert read_labels(tmp_path / "out").names == ["cat", "dog", "cow"] and sample.class_labels.tolist() == [0, 1, 2, 1]
    areas = [int((sample.id_map == segment).sum()) for segment in sample.segment_ids.tolist()]
    assert areas[0] == 120 and areas[1] == 24 and areas[3] == 8 and areas[2] == pytest.approx(np.pi * 9, rel=0.1)
    assert (sample.id_map[13:15, 15:19] == sample.segment_ids[3]).all()


def test_shapes_of_one_group_are_one_object(shapes_json, prepared):
    other = {**CAT, "points": [[20, 2], [25, 2], [25, 6], [20, 6]]}
    folder = shapes_json([{**CAT, "group_id": 1}, {**other, "group_id": 1}, {**other, "label": "dog", "group_id": 1}])
    [sample] = prepared("labelme", folder, folder)
    assert sample.class_labels.tolist() == [0, 1]


def test_pixels_in_the_json(shapes_json, prepared, photo, tmp_path):
    content = photo(tmp_path / "elsewhere.png", SIZE).read_bytes()
    folder = shapes_json([CAT], imagePath="..\\photos\\gone.png", imageData=coded(content))
    (folder / "pets.png").unlink()
    [sample] = prepared("labelme", folder, folder)
    assert sample.image_id == "pets" and sample.image.shape == (3, *SIZE)


def test_paths_of_other_machines_and_images_without_a_json(shapes_json, photo, tmp_path):
    folder = shapes_json([CAT], imagePath="..\\images\\pets.png")
    photo(folder / "later.png")
    report = prepare(find_splits(folder), tmp_path / "out")["train"]
    assert report.images == 1 and report.repaired == {"images without a json were passed over": 1}


def test_what_has_no_area_is_left_out_alone(shapes_json, tmp_path):
    point = {"label": "eye", "points": [[3, 3]], "shape_type": "point"}
    folder = shapes_json([point, CAT, {**CAT, "shape_type": "mask", "mask": "?"}])
    with pytest.raises(BadSample, match=r"pets.json, shape 0 is a point, which has no area. Draw a polygon"):
        prepare(find_splits(folder), tmp_path / "out")
    report = prepare(find_splits(folder), tmp_path / "out", bad_samples="skip")["train"]
    assert report.segments == 1 and report.left_out == {"of the kind point": 1, "with a broken mask": 1}


def test_folders_of_splits_and_one_json(shapes_json, tmp_path):
    folder = shapes_json([CAT])
    with pytest.raises(ValueError, match="LabelMe's json of one image. Give the folder of all of them: --annotations "):
        detect_format(folder / "pets.json")
    for name in ("train", "val"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for file in folder.iterdir():
            (tmp_path / "all" / name / file.name).write_bytes(file.read_bytes())
    assert [split.name for split in find_splits(tmp_path / "all")] == ["train", "val"]
    with pytest.raises(ValueError, match=r"classes=\['dog'\] lacks the labels \['cat'\]"):
        prepare(find_splits(folder), tmp_path / "out", Options(classes=["dog"]))


def test_splits_of_several_folders_have_their_own_images(shapes_json, tmp_path):
    for home in ("train/cam1", "train/cam2", "val/cam1", "val/cam2"):
        folder = shapes_json([CAT], f"{home}/0001", imagePath="0001.png")
    splits = find_splits(folder)
    assert [(split.name, split.images.name, split.annotations.name) for split in splits] == [("train",) * 3, ("val",) * 3]
    prepare(splits, tmp_path / "out")
    for split in ("train", "val"):
        assert [row["image_id"] for row in load_split(tmp_path / "out", split)] == ["cam1/0001", "cam2/0001"]


def test_a_split_in_the_folder_of_another(shapes_json, tmp_path):
    shapes_json([CAT])
    folder = shapes_json([CAT], "val/0001", imagePath="0001.png")
    with pytest.raises(ValueError, match="the image .*/val/0001.png is in two splits, 'train' with .* and 'val' with "):
        prepare(find_splits(folder), tmp_path / "out")


@pytest.mark.parametrize("name", ["0001.png", "..\\elsewhere\\0001.png", "../sub/0001.png", "/0001.png"])
def test_the_image_beside_a_json_is_meant(shapes_json, name):
    shapes_json([CAT], "0001")
    folder = shapes_json([CAT], "sub/0001", imagePath=name)
    items = labelme.read(folder, folder, Options()).items
    assert [item[:2] for item in items] == [(stem, folder / f"{stem}.png") for stem in ("0001", "sub/0001")]


def test_an_image_in_a_folder_beside_that_of_the_jsons(shapes_json, photo, tmp_path):
    folder = shapes_json([CAT], "b/0001", imagePath="../../photos/b/0001.png")
    photo(tmp_path / "photos/0001.png", SIZE)
    photo(tmp_path / "photos/b/0001.png", SIZE)
    [item] = labelme.read(tmp_path / "photos", folder, Options()).items
    assert item[:2] == ("b/0001", tmp_path / "photos/b/0001.png")
    photo(tmp_path / "others/0001.png", SIZE)  # that the user gives, so that it wins over the photos of the json
    [item] = labelme.read(tmp_path / "others", folder / "b", Options()).items
    assert item[:2] == ("0001", tmp_path / "others/0001.png")


def test_stuff_that_one_split_lacks(shapes_json, tmp_path):
    shapes_json([CAT, {**CAT, "label": "sky", "points": [[20, 2], [25, 2], [25, 6]]}], "train/a", imagePath="a.png")
    folder = shapes_json([CAT], "val/b", imagePath="b.png")
    prepare(find_splits(folder), tmp_path / "out", Options(stuff=["sky"]))
    assert read_labels(tmp_path / "out") == Labels(["cat", "sky"], [True, False])
    with pytest.raises(ValueError, match=r"stuff=\['sea'\] names \['sea'\], which are no classes; those are \['cat', 'sky'\]"):
        prepare(find_splits(folder), tmp_path / "other", Options(stuff=["sea"]))
