"""Masks of photos that EXIF turns: sizes say how they lie, else those of other photos, else an option does."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import load_split
from eomt.train_scripts.data.formats.orientation import turned
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.samples import decode_row

NAMES = ["background", "cat"]
VALUES = np.zeros((8, 12), dtype=np.uint8)
VALUES[:2, :3] = 1
SQUARE = VALUES[:, :8]


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_those_of_pillow(orientation):
    image = Image.fromarray(VALUES)
    image.getexif()[0x0112] = orientation
    assert np.array_equal(turned(VALUES, orientation), ImageOps.exif_transpose(image))


@pytest.fixture
def labels(tmp_path, photo, prepared):
    """`labels({name: (orientation, stored values, mask)}, suffix, choice)`: {name: (H, W) whether a pixel is a cat}."""

    def run(photos: dict, suffix: str = "jpg", choice: str | None = None) -> dict[str, np.ndarray]:
        for name, (orientation, values, mask) in photos.items():
            photo(tmp_path / f"images/{name}.{suffix}", values.shape, exif=exif(orientation))
            (tmp_path / "masks").mkdir(exist_ok=True)
            image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
            image.save(tmp_path / f"masks/{name}.png", exif=image.getexif())
        options = Options(kind="semantic", classes=NAMES, mask_orientation=choice)
        prepared("masks", tmp_path / "images", tmp_path / "masks", options)
        samples = [decode_row(row, 2, "here") for row in load_split(tmp_path / "out", "train")]
        return {sample.image_id: (sample.id_map == 2).numpy() for sample in samples}

    return run


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_sizes_say_how_masks_lie(labels, tmp_path, suffix):
    upright = turned(VALUES, 6)
    found = labels({"raw": (6, VALUES, VALUES), "upright": (6, VALUES, upright), "plain": (1, VALUES, VALUES)}, suffix)
    assert (
        np.array_equal(found["raw"], upright)
        and np.array_equal(found["upright"], upright)
        and np.array_equal(found["plain"], VALUES)
    )
    assert '"masks turned with the EXIF orientation of their photos": 1' in (tmp_path / "out/train_report.json").read_text()


@pytest.mark.parametrize(("mask", "expected"), [(VALUES, turned(SQUARE, 6)), (turned(VALUES, 6), SQUARE)])
def test_square_photos_go_by_the_others(labels, mask, expected):
    assert np.array_equal(labels({"long": (6, VALUES, mask), "square": (6, SQUARE, SQUARE)})["square"], expected)


@pytest.mark.parametrize(("orientation", "values"), [(6, SQUARE), (3, VALUES), (2, VALUES)])
def test_what_sizes_leave_open_takes_an_option(labels, orientation, values):
    with pytest.raises(
        ValueError, match="1 photos, .*/a.jpg, are turned .* give --mask_orientation upright or --mask_orientation raw"
    ):
        labels({"a": (orientation, values, values)})


@pytest.mark.parametrize(("choice", "turn"), [("upright", 1), ("raw", 3)])
def test_the_option_settles_it(labels, choice, turn):
    assert np.array_equal(labels({"a": (3, VALUES, VALUES)}, choice=choice)["a"], turned(VALUES, turn))


def test_photos_that_disagree_leave_the_square_ones_open(labels):
    with pytest.raises(ValueError, match="give --mask_orientation"):
        labels({"a": (6, VALUES, VALUES), "b": (6, VALUES, turned(VALUES, 6)), "c": (6, SQUARE, SQUARE)})


def test_a_mask_with_an_orientation_of_its_own_is_turned_by_it(labels):
    mask = Image.fromarray(SQUARE)
    mask.getexif()[0x0112] = 6
    assert np.array_equal(labels({"a": (6, SQUARE, mask)})["a"], turned(SQUARE, 6))


def test_a_broken_mask_is_reported_where_it_is_read(tmp_path, photo, prepared, index_image):
    photo(tmp_path / "images/a.jpg", VALUES.shape, exif=exif(6))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.png").write_bytes(b"x")
    for name in "bc":
        photo(tmp_path / f"images/{name}.jpg", VALUES.shape)
        index_image(tmp_path / f"masks/{name}.png", VALUES)
    options = Options(kind="semantic", classes=NAMES)
    with pytest.raises(BadSample, match="masks/a.png: can't be read as an image"):
        prepared("masks", tmp_path / "images", tmp_path / "masks", options)
    samples = prepared("masks", tmp_path / "images", tmp_path / "masks", options, bad_samples="skip")
    assert [sample.image_id for sample in samples] == ["b", "c"]
