"""Each folder that docs/layouts.md shows is drawn, and prepared by the command below it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from drawn_files import UNLABELLED, draw, seen
from drawn_scene import SIZE, Box, is_photo, write_photo
from format_layouts import converter_list
from layout_trees import LayoutTree, layout_trees
from PIL import Image

from eomt.train_scripts import prepare
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.class_list import read_class_file
from eomt.train_scripts.data.formats.converters import CONVERTERS, CVAT
from eomt.train_scripts.data.formats.readers import READERS
from eomt.train_scripts.data.prepare_options import PrepareOptions
from eomt.train_scripts.data.samples import Sample, decode_row

PAGE = Path(__file__).parents[2] / "docs/layouts.md"
TREES = layout_trees(PAGE)
BACKGROUND = ("background", "_background_")


def masks_of(sample: Sample) -> list[tuple[int, np.ndarray]]:
    """Class index and mask (H, W) of each segment."""
    ids = sample.id_map.numpy().reshape(-1, *SIZE)  # (P, H, W)
    return [(label, (ids == i).any(0)) for i, label in zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)]


def overlap(mask: np.ndarray, boxes: list[Box]) -> float:
    """Intersection over union of a mask and boxes."""
    truth = np.zeros(SIZE, dtype=bool)
    for left, top, right, bottom in boxes:
        truth[top:bottom, left:right] = True
    return (mask & truth).sum() / (mask | truth).sum()


def splits_of(tree: LayoutTree) -> list[str]:
    """The splits that a picture shows by its names."""
    if tree.root == "cvat_coco":
        return ["default"]
    return ["train", "val"] if any(re.search(r"(^|[/_])val", str(path)) for path in tree.files) else ["train"]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.root)
def test_the_command_reads_the_folder(tree: LayoutTree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tree, tmp_path)
    for path in tree.files if not tree.root.endswith(".zip") else ():
        assert (tmp_path / path).is_file(), f"{path} wasn't drawn"
    assert tree.words[:2] == ("eomt", "prepare")
    prepare.main(list(tree.words[2:]))
    out = tmp_path / tree.words[tree.words.index("--out") + 1]
    names, samples = read_labels(out).names, []
    assert [path.name.removesuffix("_report.json") for path in sorted(out.glob("*_report.json"))] == splits_of(tree)
    for split in splits_of(tree):
        samples += [decode_row(row, len(names), "here") for row in load_split(out, split)]
    photos = sum(is_photo(Path(path)) for path in tree.files) or 2  # those in parquet files aren't shown
    assert len(samples) == photos - UNLABELLED.get(tree.root, 0)
    for sample in samples:
        objects = [(names[label], mask) for label, mask in masks_of(sample) if names[label] not in BACKGROUND]
        assert sorted(name for name, _ in objects) == sorted(name for name, _ in seen(tree.root))
        for name, boxes in seen(tree.root):
            assert max(overlap(mask, boxes) for other, mask in objects if other == name) > 0.9
        assert not sample.is_crowd.any()


def test_every_format_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    formats = set()
    for tree in TREES:
        draw(tree, tmp_path)
        formats |= {split.format for split in parse_options(PrepareOptions, list(tree.words[2:]), None).splits()}
    assert formats == set(READERS)


def jpeg_masks(folder: Path) -> str:
    for stem in "ab":
        write_photo(folder / f"images/{stem}.png")
        write_photo(folder / f"masks/{stem}.jpg")
    return f"--images {folder}/images --annotations {folder}/masks --classes background,cat"


def smooth_masks(folder: Path) -> str:
    write_photo(folder / "images/a.jpg")
    Image.fromarray(np.arange(SIZE[0] * SIZE[1], dtype=np.uint64).reshape(SIZE).astype(np.uint8)).save(folder / "masks/a.png")
    return f"--source {folder} --classes background,cat"


def brush_masks(folder: Path) -> str:
    write_photo(folder / "images/a.jpg")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folder / "masks/task-1-annotation-1-by-1-tag-cat-0.png")
    return f"--images {folder}/images --annotations {folder}/masks --kind semantic --classes background,cat"


def voc_boxes(folder: Path) -> str:
    write_photo(folder / "images/a.jpg")
    (folder / "masks/a.xml").write_text("<annotation><object><bndbox/></object></annotation>")
    return f"--source {folder}"


def yolo_boxes(folder: Path) -> str:
    write_photo(folder / "images/a.jpg")
    (folder / "masks").rename(folder / "labels")
    (folder / "labels/a.txt").write_text("0 0.5 0.5 0.2 0.2")
    return f"--source {folder} --classes cat"


def one_id(folder: Path) -> str:
    images = [{"id": 1, "file_name": f"{stem}.jpg", "height": SIZE[0], "width": SIZE[1]} for stem in "ab"]
    for image in images:
        write_photo(folder / "images" / image["file_name"])
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    return f"--images {folder}/images --annotations {folder}/labels.json"


REFUSED = {  # row of the page's table -> what makes such data, and a part of the message
    "masks as JPEG": [(jpeg_masks, "Export the masks anew, as PNG")],
    "masks with smoothed edges": [(smooth_masks, "without smoothing")],
    "Label Studio's brush masks as PNG": [(brush_masks, "Export the project as JSON")],
    "boxes: Pascal VOC's xml, YOLO's lines of four numbers": [(voc_boxes, "boxes and no outlines"), (yolo_boxes, "has a box")],
    "two images of one id in COCO's json": [(one_id, "prepare each of them alone")],
}


@pytest.mark.parametrize("make, message", [case for cases in REFUSED.values() for case in cases])
def test_what_the_page_calls_refused_is_refused(make, message, tmp_path, capsys):
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    with pytest.raises(SystemExit):
        prepare.main([*make(tmp_path / "set").split(), "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err


def test_the_table_of_refusals_has_the_rows_that_are_tested():
    table = PAGE.read_text(encoding="utf-8").split("## Refused")[1]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows[2:] == list(REFUSED)


CLASS_FILES = {  # content of a file, whose form the page's table has
    "lines.txt": "background\ncat\ndog",
    "numbered.txt": "0 background\n1 cat\n2 dog",
    "colons.txt": "0: background\n1: cat\n2: dog",
    "after.txt": "background\t0\ncat\t1\ndog\t2",
    "named_colours.txt": "background 0 0 0\ncat 128 0 0\ndog 0 128 0",
    "colours.txt": "0 0 0 background\n128 0 0 cat\n0 128 0 dog",
    "both.txt": "0 background 0 0 0\n1 cat 128 0 0\n2 dog 0 128 0",
    "labelmap.txt": "background:0,0,0::\ncat:128,0,0::\ndog:0,128,0::",
    "names.csv": "class\nbackground\ncat\ndog",
    "values.csv": "label,value\nbackground,0\ncat,1\ndog,2",
    "colours.csv": "name,r,g,b\nbackground,0,0,0\ncat,128,0,0\ndog,0,128,0",
    "list.json": '["background", "cat", "dog"]',
    "by_value.json": '{"0": "background", "1": "cat", "2": "dog"}',
    "by_name.json": '{"background": 0, "cat": 1, "dog": 2}',
    "colours.json": '{"background": [0, 0, 0], "cat": [128, 0, 0], "dog": [0, 128, 0]}',
    "entries.yaml": '[{"id": 0, "name": "background"}, {"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]',
}


@pytest.mark.parametrize("name", CLASS_FILES)
def test_files_of_classes_are_understood(name, tmp_path):
    path = tmp_path / name
    path.write_text(CLASS_FILES[name])
    entries = read_class_file(path)
    assert [entry.name for entry in entries] == ["background", "cat", "dog"]
    values, colours = [entry.value for entry in entries], [entry.colour for entry in entries]
    assert values in ([0, 1, 2], [None] * 3) and colours in ([(0, 0, 0), (128, 0, 0), (0, 128, 0)], [None] * 3)
    assert (colours[0] is not None) == ("colours" in name or name in ("both.txt", "labelmap.txt"))


def test_datasets_that_are_converted_are_listed_with_their_commands():
    text = converter_list()
    for converter in (CVAT, *CONVERTERS):
        assert f"**{converter.title[0].upper()}{converter.title[1:]}.**" in text
    assert text.count("```bash\n") == len(CONVERTERS) + 1 and not re.search(r"{\w+}", text)
    assert "datum convert -i FOLDER -if cvat -f coco_instances -o FOLDER_coco -- --save-media\n" in text


def test_pictures_have_a_command_and_understood_lines(tmp_path):
    page = tmp_path / "page.md"
    block = "```console\nstreet/\n  masks/  a.png, b.png\n  in/\n    c.txt, d/e.txt\n{}\n```\n"
    page.write_text(block.format("$ eomt prepare --source street"))
    (tree,) = layout_trees(page)
    assert list(map(str, tree.files)) == ["street/masks/a.png", "street/masks/b.png", "street/in/c.txt", "street/in/d/e.txt"]
    assert tree.root == "street" and tree.words == ("eomt", "prepare", "--source", "street")
    for wrong in (block.format("  more.txt"), block.format("      deep.txt\n$ eomt prepare")):
        page.write_text(wrong)
        with pytest.raises(ValueError, match="street/"):
            layout_trees(page)
