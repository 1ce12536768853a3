"""Names of classes, with values and colours or without, from words and from the files that people and tools write."""

import json

import pytest

from eomt.train_scripts.data.formats.class_list import ClassEntry, is_background, is_void, parse_classes, read_class_file

NAMES = ["background", "cat", "dog"]
COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
PLAIN = [ClassEntry(name) for name in NAMES]
NUMBERED = [ClassEntry(name, value) for value, name in enumerate(NAMES)]
COLOURED = [ClassEntry(name, colour=colour) for name, colour in zip(NAMES, COLOURS, strict=True)]
BOTH = [ClassEntry(name, value, colour) for value, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True))]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["background,cat", "dog"], PLAIN),
        (["background,", "cat,", "dog"], PLAIN),  # spaces behind commas, which a shell parts
        (["0:background,1:cat,2:dog"], NUMBERED),
        (["-1:void,300:cat"], [ClassEntry("void", -1), ClassEntry("cat", 300)]),
        (["0,0,0:background,128,0,0:cat,0,128,0:dog"], COLOURED),
        (["0,", "0,", "0:background", "#800000:cat", "0 128 0:dog"], COLOURED),
        (["traffic:light,7up"], [ClassEntry("traffic:light"), ClassEntry("7up")]),
    ],
)
def test_words(words, expected):
    assert parse_classes(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0:sky,road"], r"\['road'\] have no value, though others have"),
        (["nowhere.csv"], "classes=nowhere.csv: no such file"),
        (["1,2,300:sky"], "the colour 1,2,300 must have numbers of 0..255"),
        (["1,2,3:sky,4,5"], r"ends in \[4, 5\]; a colour is `r,g,b:name`"),
        (["1,2,3:sky,4,road"], "4,road is no `r,g,b:name`"),
    ],
)
def test_words_that_are_wrong(words, message):
    with pytest.raises(ValueError, match=message):
        parse_classes(words)


LABEL_MAP = "background:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"
FILES = {
    "a name a line": ("a.txt", "background\ncat\n\ndog\n", PLAIN),
    "a byte order mark and line ends of Windows": ("a.txt", "\ufeffbackground\r\ncat\r\ndog\r\n", PLAIN),
    "a title": ("a.txt", "name\nbackground\ncat\ndog\n", PLAIN),
    "a comment": ("a.txt", "# my classes\nbackground\ncat\ndog\n", PLAIN),
    "marks of a list": ("a.txt", "- background\n- cat\n- dog\n", PLAIN),
    "one line": ("a.txt", "background, cat, dog\n", PLAIN),
    "numbers": ("a.txt", "0 background\n1 cat\n2 dog\n", NUMBERED),
    "numbers with colons": ("a.txt", "0: background\n1: cat\n2: dog\n", NUMBERED),
    "numbers with points": ("a.txt", "0. background\n1. cat\n2. dog\n", NUMBERED),
    "numbers with dashes": ("a.txt", "0 - background\n1 - cat\n2 - dog\n", NUMBERED),
    "numbers in brackets": ("a.txt", "[0] background\n[1] cat\n[2] dog\n", NUMBERED),
    "numbers behind the names": ("a.txt", "background,0\ncat,1\ndog,2\n", NUMBERED),
    "titles over numbers": ("a.txt", "id name\n0 background\n1 cat\n2 dog\n", NUMBERED),
    "names that end in numbers": ("a.txt", "class 1\nclass 2\n", [ClassEntry("class 1"), ClassEntry("class 2")]),
    "colours behind the names": ("a.txt", "background 0 0 0\ncat 128 0 0\ndog 0 128 0\n", COLOURED),
    "colours before the names": ("a.txt", "0 0 0\tbackground\n128 0 0\tcat\n0 128 0\tdog\n", COLOURED),
    "the label map of CVAT": ("a.txt", f"# label:color_rgb:parts:actions\n{LABEL_MAP}", BOTH),
    "the same without a mark": ("a.txt", f"label:color_rgb:parts:actions\n{LABEL_MAP}", BOTH),
    "the list of LabelMe": ("a.txt", "__ignore__\nbackground\ncat\ndog\n", [ClassEntry("void", 255), *NUMBERED]),
    "a csv of names": ("a.csv", "name\nbackground\ncat\ndog\n", PLAIN),
    "a csv without titles": ("a.csv", "0,background\n1,cat\n2,dog\n", NUMBERED),
    "the csv of Roboflow": ("a.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n", NUMBERED),
    "a csv with semicolons": ("a.csv", "Name;R;G;B\nbackground;0;0;0\ncat;128;0;0\ndog;0;128;0\n", COLOURED),
    "the csv of CamVid": ("a.csv", "name,r,g,b\nbackground,0,0,0\ncat,128,0,0\ndog,0,128,0\n", COLOURED),
    "a csv of all": ("a.csv", "id,name,r,g,b\n0,background,0,0,0\n1,cat,128,0,0\n2,dog,0,128,0\n", BOTH),
    "a list": ("a.json", json.dumps(NAMES), PLAIN),
    "names by value": ("a.json", json.dumps(dict(enumerate(NAMES))), NUMBERED),
    "values by name": ("a.json", json.dumps({name: value for value, name in enumerate(NAMES)}), NUMBERED),
    "a config": ("a.json", json.dumps({"id2label": dict(enumerate(NAMES))}), NUMBERED),
    "a list of entries": ("a.json", json.dumps([{"id": value, "name": name} for value, name in enumerate(NAMES)]), NUMBERED),
    "a list of pairs": ("a.json", json.dumps(list(enumerate(NAMES))), NUMBERED),
    "entries by value": ("a.json", json.dumps({value: {"name": name} for value, name in enumerate(NAMES)}), NUMBERED),
    "entries with colours": (
        "a.json",
        json.dumps({"labels": [{"name": name, "color": colour} for name, colour in zip(NAMES, COLOURS, strict=True)]}),
        COLOURED,
    ),
    "yaml, in which `no` is a name": ("a.yaml", "names:\n  0: no\n  1: 12\n", [ClassEntry("no", 0), ClassEntry("12", 1)]),
}


@pytest.mark.parametrize("case", FILES)
def test_files(tmp_path, case):
    name, content, expected = FILES[case]
    (tmp_path / name).write_bytes(content.encode())
    assert read_class_file(tmp_path / name) == expected == parse_classes([str(tmp_path / name)])


def test_encodings(tmp_path):
    (tmp_path / "a.txt").write_bytes("Größe\nÉtang".encode("utf-16"))
    assert read_class_file(tmp_path / "a.txt") == [ClassEntry("Größe"), ClassEntry("Étang")]
    (tmp_path / "a.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(ValueError, match="a.txt is not text in UTF-8 .* Save it as UTF-8"):
        read_class_file(tmp_path / "a.txt")


@pytest.mark.parametrize("content", ["", "3", "{", '{"a": null}', '[{"id": 1}]'])
def test_files_without_names(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"classes=.*a.json.* A line is a name, `0 name`"):
        read_class_file(tmp_path / "a.json")


def test_names_that_are_no_classes():
    assert all(map(is_void, ["void", "Void", "_void_", "unlabeled", "ignore", "void--unlabeled"])) and not is_void("background")
    assert all(map(is_background, ["Background", "_background_", "bg"])) and not is_background("backyard")
