"""Values and colours of masks stand for classes; readings that can't be meant are refused with the one that may be."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.class_list import parse_classes
from eomt.train_scripts.data.formats.index_images import Mask
from eomt.train_scripts.data.formats.mask_classes import class_indices, mask_classes
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import class_options

NAMES = ["background", "cat", "dog"]
VALUES = np.zeros((4, 6), dtype=np.int64)
VALUES[:2, :2], VALUES[2:, 3:] = 1, 2
PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], dtype=np.uint8)


@pytest.fixture
def classes_of(tmp_path, photo, prepared):
    """`classes_of(image, words, **options)`: (H, W) names of the classes of a mask of 4 x 6 pixels as prepared, None for void."""

    def run(image: np.ndarray | Image.Image, words: str, **options) -> list[list[str | None]]:
        photo(tmp_path / "images/a.png", (4, 6))
        (tmp_path / "masks").mkdir(exist_ok=True)
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(tmp_path / "masks/a.tif")
        of_words = class_options(parse_classes([words]))
        [sample] = prepared("masks", tmp_path / "images", tmp_path / "masks", Options(kind="semantic", **of_words, **options))
        labels = read_labels(tmp_path / "out")
        names = dict(zip(sample.segment_ids.tolist(), [labels.names[i] for i in sample.class_labels.tolist()], strict=True))
        return [[names.get(value) for value in row] for row in sample.id_map.tolist()]

    return run


def named(names: list[str | None]) -> list[list[str | None]]:
    return [[names[value] for value in row] for row in VALUES.tolist()]


def palette_image(order: list[int]) -> Image.Image:
    """A palette whose colours are in another order than the values."""
    image = Image.fromarray(np.argsort(order)[VALUES].astype(np.uint8)).convert("P")
    image.putpalette(PALETTE[order].ravel().tolist())
    image.putdata(np.argsort(order)[VALUES].ravel().tolist())
    return image


READ = {
    "values": (VALUES.astype(np.uint8), "background,cat,dog", {}, NAMES),
    "a map": ((VALUES * 40).astype(np.uint8), "0:background,40:cat,80:dog", {}, NAMES),
    "a map with void": (VALUES.astype(np.uint8), "0:void,1:cat,2:dog", {}, [None, "cat", "dog"]),
    "two values of a class": (VALUES.astype(np.uint8), "0:background,1:pet,2:pet", {}, ["background", "pet", "pet"]),
    "void in the list": (VALUES.astype(np.uint8), "void,cat,dog", {}, [None, "cat", "dog"]),
    "void 0, and classes from 1": (VALUES.astype(np.uint8), "cat,dog", {"void": [0]}, [None, "cat", "dog"]),
    "colours": (PALETTE[VALUES], "0,0,0:background,128,0,0:cat,0,128,0:dog", {}, NAMES),
    "a void colour": (PALETTE[VALUES], "0,0,0:void,128,0,0:cat,0,128,0:dog", {}, [None, "cat", "dog"]),
    "a palette in another order": (palette_image([2, 0, 1]), "0,0,0:background,128,0,0:cat,0,128,0:dog", {}, NAMES),
    "a palette of names": (palette_image([0, 1, 2]), "background,cat,dog", {}, NAMES),
    "values where colours are given": (VALUES.astype(np.uint8), "0,0,0:background,128,0,0:cat,0,128,0:dog", {}, NAMES),
    "0 and 255": (np.where(VALUES == 0, 0, 255).astype(np.uint8), "background,cat", {}, ["background", "cat", "cat"]),
    "colours of one bit": (
        Image.fromarray(VALUES > 0),
        "255,255,255:road,0,0,0:background",
        {},
        ["background", "road", "road"],
    ),
    "grey colours of a table": (
        np.where(VALUES > 0, 128, 0).astype(np.uint8),
        "128,128,128:sky,0,0,0:ground,128,0,0:house",
        {},
        ["ground", "sky", "sky"],
    ),
    "grey levels as colours": (
        (VALUES * 100).astype(np.uint8),
        "0,0,0:background,100,100,100:cat,200,200,200:dog",
        {},
        NAMES,
    ),
}


@pytest.mark.parametrize("case", READ)
def test_what_masks_mean(classes_of, case):
    image, words, options, names = READ[case]
    assert classes_of(image, words, **options) == named(names)


GREY = Options(classes=["sky", "ground", "house"], colours=[(170, 170, 170), (0, 0, 0), (128, 0, 0)])


@pytest.mark.parametrize(
    ("values", "step", "options", "expected"),
    [
        ([[0, 0]], 1, GREY, [[1, 1]]),  # black
        ([[0, 2]], 85, GREY, [[1, 0]]),  # two bits a sample
        ([[0, 2]], 1, GREY, [[0, 2]]),  # 2 is no colour: positions
        ([[0, 0]], 0, GREY, [[0, 0]]),  # an array has no grey levels
        ([[0, 0]], 1, replace(GREY, values=[0, 1, 2]), [[0, 0]]),
    ],
)
def test_grey_levels_are_colours_where_no_values_are_given(values, step, options, expected):
    mask = Mask(np.array(values), None, step)
    indices, repair = class_indices(mask, mask_classes(options), Path("a.png"), lambda: [])
    assert indices.tolist() == expected and repair is None


ADVISED = {  # what is refused, and what the advice names
    "a value too many": (VALUES, "cat,dog", "0:void,1:cat,2:dog"),
    "values with gaps": (VALUES * 40, "background,cat,dog", "0:background,40:cat,80:dog"),
    "values from 1": (VALUES + 1, "background,cat,dog", "1:background,2:cat,3:dog"),
    "one name": (np.minimum(VALUES, 1), "cat", "0:background,1:cat"),
    "a background without a name": (VALUES, "cat,dog,cow", "0:void,1:cat,2:dog,3:cow"),
    "a name with a space": (VALUES, "big cat,dog", '"0:void,1:big cat,2:dog"'),
}


@pytest.mark.parametrize("case", ADVISED)
def test_the_advice_leads_to_what_is_right(classes_of, case):
    values, words, advised = ADVISED[case]
    with pytest.raises(ValueError, match=re.escape(f"--classes {advised}")):
        classes_of(values.astype(np.uint8), words)
    assert classes_of(values.astype(np.uint8), advised.strip('"'))


@pytest.mark.parametrize(
    ("image", "words", "options", "message"),
    [
        (
            VALUES * 60,
            "background,cat,dog,cow",
            {"void": [120]},
            r"has the values \[60\] in .* Name each value: --classes 0:background,60:NAME",
        ),
        (np.where(VALUES == 2, 255, VALUES), "background,cat", {}, "If 255 is no class, give --void 255"),
        (VALUES, "1:background,2:cat,3:dog", {}, "If these count from 1, but masks from 0: --classes 0:background,1:cat,2:dog"),
        (VALUES, "0:background,1:cat", {}, r"has the values \[2\] .* as `value:name`, or `value:void`"),
        (np.arange(24).reshape(4, 6), "background,cat", {}, "It has 22 such values, as photos or smoothed edges have"),
        (PALETTE[VALUES], "background,cat,dog", {}, "has colours, .* --classes 0,0,0:NAME,0,128,0:NAME,128,0,0:NAME with"),
        (PALETTE[VALUES], "0,0,0:background,128,0,0:cat", {}, "has the colours 0,128,0, which classes lacks"),
        (VALUES // 2 * 255, "background,cat", {"void": [255]}, "255 is the class 'cat', not void. Leave --void out"),
        (VALUES, "background,cat,dog", {"void": [2]}, r"void=\[2\] has \[2\], .* as --classes 2:void,0:background,1:cat,3:dog"),
        (VALUES, "0:cat,0:dog", {}, "classes has the value 0 twice"),
        (VALUES, "void", {}, "must be one or more names"),
    ],
)
def test_what_is_refused(classes_of, image, words, options, message):
    with pytest.raises(ValueError, match=message):
        classes_of(np.asarray(image).astype(np.uint8), words, **options)


def test_photos_are_no_masks(classes_of):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    with pytest.raises(ValueError, match="64 colours that stand for no class, as photos, overlays or smoothed edges have"):
        classes_of(colours, "background,cat")


@pytest.mark.parametrize(("shift", "unseen"), [(0, "cow"), (1, "sky")])
def test_values_that_may_count_from_1(classes_of, shift, unseen):
    dense = (np.arange(24).reshape(4, 6) % 2 + shift).astype(np.uint8)  # two of three values, neither of them most pixels
    dense[0, 0] = shift + 1
    with pytest.raises(
        ValueError, match=f"no mask has '{unseen}', but all others occur.* --classes 0:sky,1:dog,2:cow or --classes "
    ):
        classes_of(dense, "sky,dog,cow")
    assert classes_of(dense, "0:sky,1:dog,2:cow")


def test_images_without_a_word_are_counted(tmp_path, photo, index_image, prepared):
    photo(tmp_path / "images/a.png", (4, 6))
    index_image(tmp_path / "masks/a.png", np.where(VALUES == 0, 0, 255))
    prepared("masks", tmp_path / "images", tmp_path / "masks", Options(kind="semantic", classes=["background", "cat"]))
    assert '"masks of the values 0 and 255, read as 0 and 1": 1' in (tmp_path / "out/train_report.json").read_text()
