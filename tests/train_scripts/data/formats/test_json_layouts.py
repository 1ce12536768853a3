"""Json files of any name, whose images lie beside or around them."""

import json

import pytest

from eomt.train_scripts.data.formats.annotation_files import NamedImages, name_ends, read_json
from eomt.train_scripts.data.formats.detection import Split, find_splits
from eomt.train_scripts.data.formats.via3 import class_order, via2_entries

CAT = [2.0, 2.0, 12.0, 2.0, 12.0, 14.0, 2.0, 14.0]


@pytest.fixture
def coco(photo, instances_json, tmp_path):
    """`coco(json_name, image, name=None)`: a json of one image, which it calls `name`; the dataset's folder."""

    def write(json_name: str, image: str, name: str | None = None):
        photo(tmp_path / "set" / image)
        entry = {"id": 7, "file_name": name or image.rsplit("/", 1)[-1], "height": 20, "width": 30}
        (tmp_path / "set" / json_name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / json_name).write_text(json.dumps(instances_json([CAT], images=[entry])))
        return tmp_path / "set"

    return write


LAYOUTS = {
    "images without subfolders": ("annotations/instances_default.json", "images/a.png", None, "train", "images"),
    "Label Studio's export": ("result.json", "images/a.png", "images/a.png", "train", "images"),
    "the same of Windows": ("result.json", "images/a.png", "images\\a.png", "train", "images"),
    "a json in the split": ("train/annotations.json", "train/a.png", None, "train", "train"),
    "a json among the images": ("coco.json", "a.png", None, "train", "."),
    "stuff": ("annotations/stuff_val2017.json", "val2017/a.png", None, "val", "val2017"),
    "names of splits": ("annotations/valid.json", "images/valid/a.png", None, "val", "images/valid"),
    "addresses": ("lvis_v1_train.json", "train2017/a.png", "http://x.org/train2017/a.png", "train", "train2017"),
    "Roboflow's without splits": ("_annotations.coco.json", "a.png", None, "train", "."),
    "Datumaro's of CVAT's": (
        "annotations/instances_annotations.json",
        "images/annotations/a.png",
        None,
        "train",
        "images/annotations",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_images_are_where_the_names_are(coco, case):
    json_name, image, name, split, images = LAYOUTS[case]
    folder = coco(json_name, image, name)
    assert find_splits(folder) == [Split(split, "coco_instances", folder / images, folder / json_name)]


def test_images_of_one_name_in_two_splits(coco, photo):
    folder = coco("train.json", "train/a.png")
    coco("val.json", "val/a.png")
    assert [(split.name, split.images.name) for split in find_splits(folder)] == [("train", "train"), ("val", "val")]
    coco("train_old.json", "train/a.png")
    with pytest.raises(
        ValueError, match="has annotations of the split 'train' in .*train.json and in .*train_old.json. Prepare one"
    ):
        find_splits(folder)


def test_names_of_other_machines():
    assert name_ends("C:\\me\\a.jpg") == ["C:/me/a.jpg", "me/a.jpg", "C:\\me\\a.jpg", "a.jpg"]
    assert "my photo.jpg" in name_ends("my%20photo.jpg") and name_ends("../b/a.jpg") == ["b/a.jpg", "a.jpg"]
    assert name_ends("http://x.org/b/a.jpg?size=3")[-1] == "a.jpg"


def test_files_in_subfolders(photo, tmp_path):
    photo(tmp_path / "cam1" / "a.png")
    photo(tmp_path / "cam1" / "B.PNG")
    images = NamedImages(tmp_path)
    assert images.named("a.png", tmp_path) == ("a", tmp_path / "cam1" / "a.png")
    assert images.named("b.png", tmp_path) == ("b", tmp_path / "cam1" / "B.PNG")
    assert images.named("c.png", tmp_path) == ("c", tmp_path / "c.png")
    photo(tmp_path / "cam2" / "a.png")
    with pytest.raises(
        ValueError, match="names a.png, of which .* has several: .*cam1/a.png and .*cam2/a.png. Write the subfolder"
    ):
        NamedImages(tmp_path).named("a.png", tmp_path)


def test_a_file_of_another_folder_is_another_image(photo, tmp_path):
    photo(tmp_path / "cam1" / "a.png")
    photo(tmp_path / "cam1" / "deep" / "c.png")
    (tmp_path / "cam2").mkdir()
    images = NamedImages(tmp_path)
    assert images.named("cam2/a.png", tmp_path) == ("cam2/a", tmp_path / "cam2" / "a.png")  # which is missing
    assert images.named("C:\\set\\cam2\\a.png", tmp_path)[1] == tmp_path / "C:/set/cam2/a.png"
    assert images.named("gone/a.png", tmp_path)[1] == tmp_path / "cam1" / "a.png"
    assert images.named("cam1/A.PNG", tmp_path)[1] == tmp_path / "cam1" / "a.png"
    assert images.named("cam1/c.png", tmp_path)[1] == tmp_path / "cam1" / "deep" / "c.png"


def test_json_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_text('{"name": "é"}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"name": "é"}
    (tmp_path / "b.json").write_bytes('{"name": "é"}'.encode("latin-1"))
    with pytest.raises(ValueError, match="b.json is not JSON in UTF-8"):
        read_json(tmp_path / "b.json")


def test_projects_of_via_3(photo, prepared, tmp_path):
    photo(tmp_path / "pets.png")
    regions = {
        "1_a": {"vid": "1", "xy": [7, *CAT], "av": {"1": "1"}},
        "1_b": {"vid": "1", "xy": [2, 20, 1, 5, 4], "av": {"1": "0"}},
    }
    content = {
        "file": {
            "1": {"fname": "pets.png", "type": 2, "src": "./pets.png"},
            "2": {"fname": "film.mp4", "type": 4, "src": "film.mp4"},
        },
        "view": {"1": {"fid_list": ["1"]}},
        "attribute": {"1": {"aname": "class", "type": 4, "options": {"0": "dog", "1": "cat", "2": "cow"}}},
        "metadata": regions,
    }
    (tmp_path / "via.json").write_text(json.dumps(content))
    assert list(via2_entries(content)) == ["1"] and class_order(content) == ["dog", "cat", "cow"]
    assert find_splits(tmp_path) == [Split("train", "via", tmp_path, tmp_path / "via.json")]
    [sample] = prepared("via", tmp_path, tmp_path / "via.json")
    assert sample.class_labels.tolist() == [1, 0] and [int((sample.id_map == i).sum()) for i in (1, 2)] == [120, 20]
