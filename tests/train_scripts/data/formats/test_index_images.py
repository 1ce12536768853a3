"""Masks as their makers meant them: values of few bits, of three equal channels, of arrays; upright; and never stored with loss."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.index_images import read_indices, read_mask

VALUES = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])


def few_bits(values: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 2 or 4 bits a sample, as optimisers write it."""
    packed = (values.reshape(len(values), -1, 8 // bits) << np.arange(8 - bits, -1, -bits)).sum(-1)
    rows = b"".join(b"\0" + bytes(row.tolist()) for row in packed)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits(tmp_path, bits):
    (tmp_path / "a.png").write_bytes(few_bits(VALUES, bits))
    assert np.array_equal(read_indices(tmp_path / "a.png"), VALUES)
    assert read_mask(tmp_path / "a.png").step == 255 // ((1 << bits) - 1)


def as_channels(count: int) -> Image.Image:
    grey = Image.fromarray(VALUES.astype(np.uint8))
    opaque = Image.new("L", grey.size, 255)
    return Image.merge({2: "LA", 3: "RGB", 4: "RGBA"}[count], ([grey] * 3 + [opaque])[-count:] if count != 3 else [grey] * 3)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_equal_channels_are_values(tmp_path, count):
    as_channels(count).save(tmp_path / "a.png")
    assert np.array_equal(read_indices(tmp_path / "a.png"), VALUES)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("bool.png", Image.fromarray(VALUES > 1)),
        ("deep.png", Image.fromarray((VALUES * 300).astype(np.uint16))),
        ("whole.tif", Image.fromarray(VALUES.astype(np.float32))),
        ("signed.tif", Image.fromarray((VALUES - 1).astype(np.int32))),
        ("grey.gif", Image.fromarray(VALUES.astype(np.uint8))),
        ("grey.bmp", Image.fromarray(VALUES.astype(np.uint8))),
    ],
)
def test_kinds_of_files(tmp_path, name, image):
    image.save(tmp_path / name)
    expected = {"bool.png": VALUES > 1, "deep.png": VALUES * 300, "signed.tif": VALUES - 1}.get(name, VALUES)
    assert np.array_equal(read_indices(tmp_path / name), expected)


@pytest.mark.parametrize("array", [VALUES, VALUES[None].astype(float), VALUES[..., None].astype(np.uint8)])
def test_arrays(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(read_indices(tmp_path / "a.npy"), VALUES)


def test_palettes_have_values_and_colours(tmp_path):
    image = Image.fromarray(VALUES.astype(np.uint8)).convert("P")
    image.putpalette([9, 8, 7] * 256)
    image.putdata(VALUES.ravel().tolist())
    image.save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert np.array_equal(mask.values, VALUES) and (mask.colours == [9, 8, 7]).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_mask_is_turned_by_its_own_orientation(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(VALUES.astype(np.uint8)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert np.array_equal(read_indices(tmp_path / f"a.{suffix}"), np.rot90(VALUES, -1))


def save_pages(path):
    Image.new("L", (4, 2)).save(path, save_all=True, append_images=[Image.new("L", (4, 2))])


REFUSED = {
    "JPEG": ("a.jpg", lambda path: Image.new("L", (4, 2)).save(path), "is a JPEG file, which blends .* -threshold 50% "),
    "JPEG by another name": ("a.png", lambda path: Image.new("L", (4, 2)).save(path, "JPEG"), "is a JPEG file"),
    "pages": ("a.tif", save_pages, "has 2 pages, a mask has one"),
    "colours": ("a.png", lambda path: Image.new("RGB", (4, 2), "red").save(path), "holds colours"),
    "another mode": ("a.tif", lambda path: Image.new("CMYK", (4, 2)).save(path), "has the mode CMYK"),
    "fractions": ("a.tif", lambda path: Image.new("F", (4, 2), 0.5).save(path), "has fractions, from 0.5 to 0.5"),
    "broken": ("a.png", lambda path: path.write_bytes(b"x"), "can't be read as an image"),
    "a broken array": ("a.npy", lambda path: path.write_bytes(b"x"), "can't be read as a numpy array"),
    "an array of objects": ("a.npy", lambda path: np.save(path, np.array([{}])), "can't be read as a numpy array"),
    "planes": ("a.npy", lambda path: np.save(path, np.zeros((3, 4, 2))), r"has the shape \(3, 4, 2\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_values(tmp_path, case):
    name, write, message = REFUSED[case]
    write(tmp_path / name)
    with pytest.raises(BadSample, match=message):
        read_indices(tmp_path / name)


def test_transparency_alone_is_no_mask(tmp_path):
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[0, 0, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(BadSample, match="has one colour, and its transparency alone differs"):
        read_mask(tmp_path / "a.png")
