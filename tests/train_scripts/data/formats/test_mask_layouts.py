"""Datasets of masks by their folders: as tools export them, as challenges hand them out, and as people name them."""

import json

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.mask_layouts import masks_split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import decode_row

NAMES = ["background", "cat", "dog"]
VALUES = np.zeros((4, 6), dtype=np.uint8)
VALUES[:2, :2], VALUES[2:, 3:] = 1, 2
COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], dtype=np.uint8)
LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n"


@pytest.fixture
def tree(tmp_path, photo):
    """`tree({image: mask}, {file: text}, colours=False)`: a folder of photos, masks and text files."""

    def write(pairs: dict[str, str], texts: dict[str, str] | None = None, colours: bool = False):
        for image, mask in pairs.items():
            photo(tmp_path / image, (4, 6))
            (tmp_path / mask).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(COLOURS[VALUES] if colours else VALUES).save(tmp_path / mask)
        for name, text in (texts or {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def prepared_stems(folder, options: Options | None = None) -> dict[str, list[str]]:
    """{split: ids of its images}, after a check that all of them have the three classes where they were drawn."""
    out, splits = folder / "out", find_splits(folder)
    prepare(splits, out, options)
    assert read_labels(out).names == NAMES
    stems = {}
    for split in splits:
        rows = list(load_split(out, split.name))
        for row in rows:
            sample = decode_row(row, 3, "here")
            labels = dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True))
            assert [[labels[value] for value in line] for line in sample.id_map.tolist()] == VALUES.tolist()
        stems[split.name] = [row["image_id"] for row in rows]
    return stems


GIVEN = Options(kind="semantic", classes=NAMES)
NUMBERED = "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"
LAYOUTS = {
    "images and masks": ({"images/a.jpg": "masks/a.png"}, {}, GIVEN, {"train": ["a"]}),
    "other names": ({"Imgs/a.jpg": "GT/a_gt.png"}, {}, GIVEN, {"train": ["a"]}),
    "mmseg": ({"img_dir/train/a.jpg": "ann_dir/train/a.png"}, {}, GIVEN, {"train": ["a"]}),
    "splits above": ({"valid/images/a.jpg": "valid/labels/a.png"}, {}, GIVEN, {"val": ["a"]}),
    "Carvana": ({"train/a.jpg": "train_masks/a_mask.gif"}, {}, GIVEN, {"train": ["a"]}),
    "CamVid of SegNet": ({"val/a.png": "valannot/a.png"}, {}, GIVEN, {"val": ["a"]}),
    "images of a split beside its masks": ({"train_images/a.jpg": "train_masks/a.png"}, {}, GIVEN, {"train": ["a"]}),
    "a file of classes": ({"images/a.jpg": "labels/a_P.png"}, {"codes.txt": "\n".join(NAMES)}, None, {"train": ["a"]}),
    "nnU-Net": (
        {"imagesTr/a_0000.png": "labelsTr/a.png"},
        {"dataset.json": json.dumps({"labels": {name: value for value, name in enumerate(NAMES)}})},
        None,
        {"train": ["a"]},
    ),
    "Roboflow": (
        {"train/a.jpg": "train/a_mask.png", "valid/b.jpg": "valid/b_mask.png"},
        {"train/_classes.csv": NUMBERED, "valid/_classes.csv": NUMBERED, "README.dataset.txt": "x"},
        None,
        {"train": ["a"], "val": ["b"]},
    ),
    "all in one folder": ({"a.jpg": "a_mask.png"}, {}, GIVEN, {"train": ["a"]}),
    "all in one folder, by suffix": ({"a.jpg": "a.png"}, {}, GIVEN, {"train": ["a"]}),
    "a folder around it": ({"set/images/a.jpg": "set/masks/a.png"}, {}, GIVEN, {"train": ["a"]}),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(tree, case):
    pairs, texts, options, expected = LAYOUTS[case]
    assert prepared_stems(tree(pairs, texts), options) == expected


def voc(*stems: str) -> dict[str, str]:
    return {f"JPEGImages/{stem}.jpg": f"SegmentationClass/{stem}.png" for stem in stems}


@pytest.mark.parametrize("colours", [True, False])
def test_masks_of_cvat(tree, colours):
    texts = {"labelmap.txt": LABEL_MAP, "ImageSets/Segmentation/default.txt": '"my photo"\nb\n'}
    assert prepared_stems(tree(voc("my photo", "b", "c"), texts, colours)) == {"train": ["b", "my photo"]}


@pytest.mark.parametrize("stem", ["my photo 1", "cam 1/a b", "shot [2]", "x.y"])
def test_names_in_the_lists_of_voc(tree, stem):
    lists = {"ImageSets/Segmentation/train.txt": f"{stem}\n", "ImageSets/Segmentation/val.txt": '"d e"\nf 1\n'}
    assert prepared_stems(tree(voc(stem, "d e", "f"), lists), GIVEN) == {"train": [stem], "val": ["d e", "f"]}


def test_lists_of_voc_that_name_no_mask(tree):
    folder = tree(voc("a"), {"ImageSets/Segmentation/train.txt": "b\n", "ImageSets/Segmentation/val.txt": ""})
    with pytest.raises(ValueError, match="the lists train.txt, val.txt in .* name no mask of .*SegmentationClass. Write"):
        find_splits(folder)


def test_the_lists_of_voc_are_its_splits(tree, photo):
    lists = {
        f"ImageSets/Segmentation/{name}.txt": "\n".join(stems) for name, stems in (("train", "a"), ("val", "b"), ("trainval", "ab"))
    }
    folder = tree(voc("a", "b"), lists)
    photo(folder / "JPEGImages/unlabelled.jpg")
    assert prepared_stems(folder, GIVEN) == {"train": ["a"], "val": ["b"]}
    pair = Split("train", "masks", folder / "JPEGImages", folder / "SegmentationClass")
    with pytest.raises(ValueError, match=f"lists of the splits train, val in .* give --source {folder} in place"):
        masks_split(pair, None)
    assert masks_split(pair, "val").image_list == folder / "ImageSets/Segmentation/val.txt"


def test_voc_itself_has_names_and_void(tree):
    folder = tree({"VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg": "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"})
    [split] = find_splits(folder)
    assert split.class_file.name == "voc.yaml" and split.void == (255,) and split.kind == "semantic"


def test_an_export_without_images(tree):
    folder = tree(voc("a"))
    (folder / "JPEGImages/a.jpg").unlink()
    (folder / "JPEGImages").rmdir()
    with pytest.raises(ValueError, match="has SegmentationClass, but no images in JPEGImages. Export the images, too"):
        find_splits(folder)


def test_classes_that_are_missing_are_asked_for_with_the_values(tree):
    folder = tree({"images/a.jpg": "masks/a.png"})
    with pytest.raises(ValueError, match="the masks have the values .*so as --classes 0:NAME,1:NAME,2:NAME with"):
        prepare(find_splits(folder), folder / "out", Options(kind="semantic"))
