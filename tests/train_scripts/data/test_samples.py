"""Rows to samples: every way to store ids, EXIF, and an error that names image and reason for every bad row."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.samples import SAID, decode_image, decode_row, present_segments

IDS = np.array([[0, 1, 1], [7, 7, 2]])


def encode(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> dict:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return {"bytes": stream.getvalue(), "path": f"photo.{kind.lower()}"}


def rgb_ids(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


def row(**changes) -> dict:
    photo = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
    table = [(1, 0, False), (7, 2, True), (2, 0, False)]
    fields = {
        "image_id": "scene 9",
        "image": encode(photo),
        "id_map": encode(IDS.astype(np.uint8)),
        "segments": [dict(zip(("id", "category", "iscrowd"), entry, strict=True)) for entry in table],
    }
    return fields | changes


def table(*entries: tuple) -> list[dict]:
    return [dict(zip(("id", "category", "iscrowd"), (*entry, False)[:3], strict=True)) for entry in entries]


def test_a_row_decodes():
    sample = decode_row(row(), 3, "here")
    assert sample.image_id == "scene 9" and sample.image.dtype == torch.uint8
    assert sample.image[:, 1, 2].tolist() == [150, 160, 170]
    assert sample.id_map.dtype == torch.int32 and np.array_equal(sample.id_map, IDS)
    assert (sample.segment_ids.tolist(), sample.class_labels.tolist()) == ([1, 7, 2], [0, 2, 0])
    assert sample.is_crowd.tolist() == [False, True, False]


def test_16_bit_and_rgb_ids():
    large = np.where(IDS == 7, 60000, IDS)
    wide = np.where(IDS == 7, 9_000_000, IDS)
    assert decode_row(row(id_map=encode(large.astype(np.uint16)), segments=table((1, 0), (60000, 0), (2, 0))), 3, "")
    sample = decode_row(row(id_map=encode(rgb_ids(wide)), segments=table((1, 0), (9_000_000, 0), (2, 0))), 3, "")
    assert np.array_equal(sample.id_map, wide)


def test_pixels_that_are_no_8_bit_are_refused():
    with pytest.raises(BadSample, match="scene 9': image has pixels of torch.float32 .mode F.. .* Store it with 8 bits"):
        decode_row(row(image=encode(Image.fromarray(np.full((2, 3), 0.5, np.float32)), "TIFF")), 3, "here")


def test_an_image_without_segments_and_id_0_as_a_segment():
    assert len(decode_row(row(id_map=encode(np.zeros((2, 3), np.uint8)), segments=[]), 3, "").segment_ids) == 0
    sample = decode_row(row(segments=table((0, 1), (1, 0), (7, 2), (2, 0))), 3, "")
    assert sample.segment_ids.tolist() == [0, 1, 7, 2]


def test_exif_orientation_turns_the_image():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    photo = Image.fromarray(np.zeros((3, 2, 3), np.uint8))
    sample = decode_row(row(image=encode(photo, "JPEG", exif=exif)), 3, "")
    assert sample.image.shape == (3, 2, 3)
    with pytest.raises(ValueError, match="upright"):
        decode_row(row(image=encode(photo, "JPEG")), 3, "")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK"])
def test_any_image_becomes_rgb(mode):
    image = Image.new("RGB", (3, 2), (200, 200, 200))
    if mode == "I;16":
        image = Image.fromarray(np.full((2, 3), 200 * 257, np.uint16))
    else:
        image = image.convert(mode)
    sample = decode_row(row(image=encode(image, "TIFF" if mode == "CMYK" else "PNG")), 3, "")
    assert sample.image.shape == (3, 2, 3) and sample.image.dtype == torch.uint8
    assert (sample.image.float() - 200).abs().max() <= 60


PNG = encode(np.random.default_rng(0).integers(0, 255, (2, 3, 3), dtype=np.uint8))["bytes"]
JPEG = encode(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8), "JPEG")["bytes"]
BAD_ROWS = {
    "truncated JPEG": (dict(image={"bytes": JPEG[: len(JPEG) // 2], "path": "a.jpg"}), r"image a\.jpg: can't be decoded"),
    "truncated PNG": (dict(id_map={"bytes": PNG[:-30], "path": "a.png"}), r"id_map a\.png: can't be decoded"),
    "not an image": (dict(image={"bytes": b"hello", "path": None}), "image .*can't be decoded"),
    "missing file": (dict(image={"bytes": None, "path": "/nowhere/a.jpg"}), "/nowhere/a.jpg: can't be decoded"),
    "no image": (dict(image=None), "image is empty"),
    "mask of another size": (dict(id_map=encode(np.zeros((3, 3), np.uint8))), "id_map is 3 x 3 pixels"),
    "mask of another mode": (dict(id_map=encode(np.zeros((2, 3, 4), np.uint8))), "mode RGBA"),
    "id missing from the table": (dict(segments=table((1, 0), (2, 0))), r"id_map has the ids \[7\]"),
    "segment without pixels": (dict(segments=table((1, 0), (2, 0), (7, 0), (9, 0))), r"segments \[9\] have no pixel"),
    "id twice": (dict(segments=table((1, 0), (2, 0), (7, 0), (7, 1))), "an id twice"),
    "negative id": (dict(segments=table((-1, 0))), r"the ids \[-1\]"),
    "unknown category": (dict(segments=table((1, 0), (2, 3), (7, -1))), r"categories \[-1, 3\]; allowed are 0..2"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_named(kind):
    changes, message = BAD_ROWS[kind]
    with pytest.raises(ValueError, match=message) as caught:
        decode_row(row(**changes), 3, "data/coco, split train")
    assert str(caught.value).startswith("data/coco, split train: image_id 'scene 9'")


def test_of_several_images_in_a_file_the_first_is_taken_with_a_word(tmp_path, caplog):
    pages = [Image.new("RGB", (6, 4), (value,) * 3) for value in (3, 9)]
    for name in ("a.tif", "b.tif", "c.gif", "d.mpo"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    SAID.clear()
    images = [decode_image({"bytes": None, "path": str(tmp_path / name)}, name) for name in ("a.tif", "b.tif", "c.gif", "d.mpo")]
    assert all(image.float().mean().round() == 3 for image in images)
    said = [record.getMessage().split(" holds ")[1] for record in caplog.records]  # once for a format; a camera's MPO has one photo
    assert said == [f"2 images: of such a {form} the first alone is taken" for form in ("TIFF", "GIF")]


def test_a_map_that_claims_to_be_huge_is_a_bad_sample():
    png = bytearray(encode(IDS.astype(np.uint8))["bytes"])
    png[16:24] = struct.pack(">II", 60000, 60000)  # width and height in the header
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    with pytest.raises(BadSample, match=r"here: image_id 'scene 9': id_map: can't be decoded \(DecompressionBombError"):
        decode_row(row(id_map={"bytes": bytes(png), "path": None}), 3, "here")


def test_present_segments():
    ids = torch.tensor([[-1, 3], [16_000_000, 0]], dtype=torch.int32)
    assert present_segments(ids, torch.tensor([3, 4, 0, 16_000_000])).tolist() == [True, False, True, True]
    assert present_segments(ids, torch.tensor([], dtype=torch.int64)).shape == (0,)
    assert present_segments(torch.full((2, 2), -1), torch.tensor([0, 5])).tolist() == [False, False]
