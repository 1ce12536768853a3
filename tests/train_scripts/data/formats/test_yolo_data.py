"""Data files of YOLO: whose names they give, which splits, and what is refused."""

import pytest

from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.formats.yolo_data import class_names, read_data_file
from eomt.train_scripts.data.preparation import prepare

LABEL = "0 .1 .1 .5 .1 .5 .5\n"


@pytest.fixture
def tree(tmp_path, photo):
    """`tree(**{path: text})`: writes photos with labels, and files with their text; the dataset's folder."""

    def write(*pairs: tuple[str, str], **files: str):
        for images, labels in pairs:
            photo(tmp_path / "set" / f"{images}.jpg")
            (tmp_path / "set" / labels).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / f"{labels}.txt").write_text(LABEL)
        for name, text in files.items():
            (tmp_path / "set" / name.replace("__", "/")).write_text(text)
        return tmp_path / "set"

    return write


def names(folder, images="images/train", labels="labels/train"):
    return class_names(folder / images, folder / labels)


def splits_of(source, folder):
    return [(split.name, split.images.relative_to(folder.resolve()).as_posix()) for split in find_splits(source)]


TRAIN = ("images/train/a", "labels/train/a")
VAL = ("images/val/b", "labels/val/b")


def test_names_are_text(tree):
    folder = tree(TRAIN, **{"data.yaml": "names: [no, yes, 1, 1e3, null]"})
    assert names(folder) == ["no", "yes", "1", "1e3", "null"]
    tree(**{"data.yaml": "names:\n  0: no\n  1: on"})
    assert names(folder) == ["no", "on"]


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "_darknet.labels"])
def test_lists_of_names_beside_the_labels(tree, name):
    assert names(tree(TRAIN, **{name: "cat\ndog\n"})) == ["cat", "dog"]


def test_a_stray_file_above_or_beside_is_passed_over(tree, tmp_path):
    folder = tree(TRAIN, **{"mkdocs.yml": "a: {{ name }}"})
    (tmp_path / "old.yaml").write_text("names: [one, two]")
    with pytest.raises(
        ValueError, match=r"no yaml file of this dataset has `names`.*mkdocs.yml can't be read; .*--classes cat,dog"
    ):
        names(folder)
    (tmp_path / "old.yaml").write_text("path: set\ntrain: images/train\nnames: [one, two]")
    assert names(folder) == ["one", "two"]  # its train leads here
    (folder / "other").mkdir()
    tree(**{"a.yaml": "train: other\nnames: [bird]", "data.yaml": "train: images/train\nnames: [cat]"})
    assert names(folder) == ["cat"]
    tree(**{"a.yaml": "train: images/train\nnames: [bird]"})
    with pytest.raises(ValueError, match="a.yaml and .*data.yaml name different classes. Say which are meant: --classes"):
        names(folder)


BAD_NAMES = {
    "gaps": ("names: {0: cat, 2: dog}", r"the keys of names are \['0', '2'\], but classes are counted from 0 and without gaps"),
    "a file that is missing": ("names: gone.txt", "names is 'gone.txt', which is neither a list nor a file there"),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_names_that_cannot_be_understood(tree, case):
    text, message = BAD_NAMES[case]
    with pytest.raises(ValueError, match=message):
        names(tree(TRAIN, **{"data.yaml": text}))


PATHS = {
    "Ultralytics'": "path: ../datasets/set\ntrain: images/train\nval: images/val",
    "Roboflow's": "train: ../images/train\nval: ../images/val",
    "another machine's": "train: /home/me/set/images/train\nval: C:\\me\\set\\images\\val",
    "lists": "train: lists/train.txt\nval: lists/val.txt",
}


@pytest.mark.parametrize("case", PATHS)
def test_splits_by_data_yaml(tree, case):
    folder = tree(TRAIN, VAL, **{"data.yaml": f"{PATHS[case]}\nnames: [cat]"})
    (folder / "lists").mkdir()
    (folder / "lists" / "train.txt").write_text("./images/train/a.jpg\n")
    (folder / "lists" / "val.txt").write_text("images/val/b.jpg\n")
    expected = ["lists/train.txt", "lists/val.txt"] if case == "lists" else ["images/train", "images/val"]
    for source in (folder, folder / "data.yaml"):
        assert splits_of(source, folder) == list(zip(("train", "val"), expected, strict=True))


def test_lists_share_out_one_folder(tree, tmp_path):
    pairs = [(f"images/{name}", f"labels/{name}") for name in "abc"]
    text = "train: train.txt\nval: val.txt\nnames: [cat]"
    folder = tree(*pairs, **{"data.yaml": text, "train.txt": "images/a.jpg\nimages/c.jpg\n", "val.txt": "./images/b.jpg\n"})
    reports = prepare(find_splits(folder), tmp_path / "out")
    assert {name: report.images for name, report in reports.items()} == {"train": 2, "val": 1}
    (folder / "val.txt").write_text("./images/gone.jpg")
    with pytest.raises(ValueError, match="val.txt lists ./images/gone.jpg, which is no file below"):
        find_splits(folder)


def test_text_files_beside_images(tree, tmp_path):
    folder = tree(
        ("obj_train_data/a", "obj_train_data/a"), **{"obj.names": "cat\n", "obj.data": "classes = 1\nnames = data/obj.names\n"}
    )
    assert [(split.name, split.images) for split in find_splits(folder)] == [("train", folder / "obj_train_data")]
    assert prepare(find_splits(folder), tmp_path / "out")["train"].segments == 1
    assert read_labels(tmp_path / "out").names == ["cat"]


def test_several_folders_of_one_split(tree, tmp_path):
    folder = tree(("a/images/x", "a/labels/x"), ("b/images/x", "b/labels/x"), VAL)
    tree(**{"data.yaml": "train: [a/images, b/images]\nval: images/val\nnames: [cat]"})
    assert splits_of(folder, folder) == [("train", "."), ("val", "images/val")]
    reports = prepare(find_splits(folder), tmp_path / "out")
    assert {name: (report.images, report.segments) for name, report in reports.items()} == {"train": (2, 2), "val": (1, 1)}
    assert [row["image_id"] for row in load_split(tmp_path / "out", "train")] == ["a/images/x", "b/images/x"]


def test_a_list_over_several_folders(tree, tmp_path):
    folder = tree(("a/images/x", "a/labels/x"), ("b/images/x", "b/labels/x"))
    tree(**{"data.yaml": "train: train.txt\nnames: [cat]", "train.txt": "a/images/x.jpg\nb/images/x.jpg\n"})
    report = prepare(find_splits(folder), tmp_path / "out")["train"]
    assert (report.images, report.segments) == (2, 2)


def test_labels_that_were_given_win_over_those_of_the_rule(tree, tmp_path):
    folder = tree(("images/x", "labels/x"), ("images/y", "new/y"), **{"list.txt": "images/x.jpg\nimages/y.jpg\n"})
    split = Split("train", "yolo", folder / "list.txt", folder / "new")
    report = prepare([split], tmp_path / "out", Options(classes=["cat"]), empty="keep")["train"]
    assert (report.images, report.segments) == (2, 1)


@pytest.mark.parametrize("train", ["images/train", "[images/val, images/train]"])
def test_a_folder_that_the_data_file_names_for_two_splits(tree, tmp_path, train):
    folder = tree(TRAIN, VAL, **{"data.yaml": f"train: {train}\nval: images/train\nnames: [cat]"})
    assert prepare(find_splits(folder / "data.yaml"), tmp_path / "out")["val"].images == 1


def test_a_folder_inside_that_of_another_split(tree, tmp_path):
    folder = tree(TRAIN, VAL, **{"data.yaml": "train: images\nval: images/val\nnames: [cat]"})
    with pytest.raises(ValueError, match="the image .*/images/val/b.jpg is in two splits, 'train' with .* and 'val' with "):
        prepare(find_splits(folder), tmp_path / "out")
    beside = tree(("beside/a", "beside/a"), ("beside/val/b", "beside/val/b"), **{"beside__classes.txt": "cat"}) / "beside"
    with pytest.raises(ValueError, match="the image .*/val/b.jpg is in two splits"):
        prepare(find_splits(beside), tmp_path / "out")


def test_data_files_that_lead_nowhere(tree):
    folder = tree(TRAIN, VAL)
    with pytest.raises(ValueError, match="its train and val lead to no folder with labels here"):
        find_splits(tree(**{"data.yaml": "train: nowhere/images\nnames: [cat]"}) / "data.yaml")
    assert read_data_file(folder / "data.yaml").is_elsewhere


def test_boxes_are_left_out_alone(tree, tmp_path):
    folder = tree(TRAIN, **{"data.yaml": "names: [cat]", "labels__train__a.txt": f"{LABEL}0 .5 .5 .2 .2\n3 .1 .1 .5 .1 .5 .5\n"})
    report = prepare(find_splits(folder), tmp_path / "out", bad_samples="skip")["train"]
    assert report.segments == 1 and report.left_out == {"without a polygon": 1, "of classes without a name": 1}
