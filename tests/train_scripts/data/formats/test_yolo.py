"""YOLO's text files: names of classes, partners, and an error for each kind of bad line."""

import pytest
import yaml
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.source import Options

SIZE = (20, 30)


BAD_LINES = {
    "a box": ("0 .5 .5 .2 .2", "line 1 has a box, not a polygon"),
    "unknown class": ("2 .1 .1 .5 .1 .5 .5", r"line 1 has the class 2; allowed are 0..1"),
    "pixels": ("0 10 10 20 10 20 18", "at 20: they must be shares, not pixels"),
    "an endless class": ("inf .1 .1 .5 .1 .5 .5", "line 1 has the class inf; allowed are 0..1"),
    "words": ("\n0 .1 .1 .5 .1 .5 .5\ncat .1 .1", "line 3: 'cat .1 .1' are not numbers"),
    "an odd number": ("0 .1 .1 .5 .1 .5 .5 .7", "line 1 has a polygon of 7 numbers"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_lines(photo, prepared, tmp_path, case):
    text, said = BAD_LINES[case]
    photo(tmp_path / "images" / "pets.png", SIZE)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text(text)
    with pytest.raises(BadSample, match=said):
        prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat", "dog"]))


@pytest.mark.parametrize("quoted", [False, True])
def test_names_by_index(photo, prepared, tmp_path, quoted):
    names = {str(index) if quoted else index: f"class {index}" for index in reversed(range(12))}
    photo(tmp_path / "images" / "pets.png", SIZE)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text("10 .1 .1 .5 .1 .5 .5")
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": names}))
    prepared("yolo", tmp_path / "images", tmp_path / "labels")
    assert read_labels(tmp_path / "out").names == [f"class {index}" for index in range(12)]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"names": {1: "cat", 2: "dog"}}))
    with pytest.raises(ValueError, match=r"the keys of names are \['1', '2'\], but classes are counted from 0"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels")


def test_names_partners_and_photos_turned_by_exif(photo, prepared, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be shown upright
    photo(tmp_path / "images" / "pets.jpg", (20, 30), exif=exif)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text("0 0 0 1 0 1 .5 0 .5")
    with pytest.raises(ValueError, match="no yaml file of this dataset has `names`"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels")
    [sample] = prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat"]))
    assert sample.id_map.shape == (30, 20) and sample.id_map[:15].all() and not sample.id_map[15:].any()
    (tmp_path / "labels" / "lost.txt").write_text("")
    with pytest.raises(ValueError, match="lost.txt has no image of the same stem"):
        prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(classes=["cat"]))
