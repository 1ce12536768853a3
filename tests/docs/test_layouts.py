"""Each folder that docs/layouts.md shows is drawn, and prepared by the command below it."""

from pathlib import Path

import numpy as np
import pytest
from drawn_files import SIZE, UNLABELLED, Box, draw, is_photo, seen
from format_layouts import converter_table
from layout_trees import LayoutTree, layout_trees

from eomt.train_scripts import prepare
from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.converters import CONVERTERS, CVAT
from eomt.train_scripts.data.formats.detection import KNOWN
from eomt.train_scripts.data.formats.readers import READERS
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


def prepared_splits(out: Path) -> list[str]:
    return [path.name.removesuffix("_report.json") for path in sorted(out.glob("*_report.json"))]


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
    for split in prepared_splits(out):
        samples += [decode_row(row, len(names), "here") for row in load_split(out, split)]
    photos = sum(is_photo(Path(path)) for path in tree.files) or 2  # those in parquet files aren't shown
    assert len(samples) == photos - UNLABELLED.get(tree.root, 0)
    for sample in samples:
        objects = [(names[label], mask) for label, mask in masks_of(sample) if names[label] not in BACKGROUND]
        assert sorted(name for name, _ in objects) == sorted(name for name, _ in seen(tree.root))
        for name, boxes in seen(tree.root):
            assert max(overlap(mask, boxes) for other, mask in objects if other == name) > 0.9
        assert not sample.is_crowd.any()


def test_the_splits_are_those_of_the_folders(tmp_path, monkeypatch):
    """Where a folder shows photos of `val`, they are prepared as that."""
    monkeypatch.chdir(tmp_path)
    for root in ("roboflow_coco", "labelme", "via", "split_above", "colours", "lvis"):
        (tree,) = [tree for tree in TREES if tree.root == root]
        draw(tree, tmp_path)
        prepare.main(list(tree.words[2:]))
        assert prepared_splits(tmp_path / "data" / root) == ["train", "val"], root


def test_every_format_is_shown(tmp_path, monkeypatch, capsys):
    """The page's commands are read by all readers, and the error message names all formats but those that it shows."""
    assert all(f"    {name} " in KNOWN for name in READERS)


def test_datasets_that_are_converted_have_a_row():
    table = converter_table()
    for converter in (CVAT, *CONVERTERS):
        assert f"| {converter.title[0].upper()}{converter.title[1:]} | `" in table
    assert "{" not in table.replace("type=", "") and "-o FOLDER_coco" in table


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
