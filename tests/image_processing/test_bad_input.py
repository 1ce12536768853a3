"""Each bad input: a ValueError that names what is wrong."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtImageProcessor, EomtImageProcessorPil
from eomt.image_processing.pixels import load_pil

IMAGE = np.zeros((40, 60, 3), np.uint8)
MAP = np.ones((40, 60), np.uint8)


def nan_image():
    image = IMAGE.astype(np.float32)
    image[3, 4] = np.nan
    return image


def truncated_jpeg(folder):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    path = folder / "cut.jpg"
    path.write_bytes(buffer.getvalue()[:2000])
    return str(path)


def text_file(folder):
    path = folder / "notes.txt"
    path.write_text("not an image")
    return str(path)


def huge_file(folder):
    path = folder / "huge.ppm"
    path.write_text("P6 30000 30000 255\n")
    return str(path)


TABLE = {
    "missing file": (lambda d: dict(images=str(d / "gone.jpg")), r"gone\.jpg: no such file"),
    "truncated JPEG": (lambda d: dict(images=truncated_jpeg(d)), r"cut\.jpg: can't be read as an image"),
    "truncated JPEG, opened": (lambda d: dict(images=[IMAGE, Image.open(truncated_jpeg(d))]), r"images\[1\]: .*cut\.jpg"),
    "no image": (lambda d: dict(images=text_file(d)), r"notes\.txt: can't be read"),
    "missing file, not ASCII": (lambda d: dict(images=str(d / "größe.jpg")), r"größe\.jpg: no such file"),
    "more pixels than PIL decodes": (lambda d: dict(images=huge_file(d)), r"huge\.ppm: can't be read as an image \(Image size"),
    "URL with a blank": (
        lambda d: dict(images="http://127.0.0.1/a b.jpg"),
        r"images\[0\]: http://127.0.0.1/a b.jpg: can't be read as an image \(URL can't",
    ),
    "missing map": (lambda d: dict(images=IMAGE, segmentation_maps=[str(d / "gone.png")]), r"segmentation_maps\[0\].*gone"),
    "no images": (lambda d: dict(images=[]), "images has no image"),
    "an array of no images": (lambda d: dict(images=[IMAGE[None][:0]]), "images has no image"),
    "no image at all": (lambda d: dict(images=[IMAGE, None]), r"images\[1\] is a NoneType"),
    "NaN pixels": (lambda d: dict(images=[IMAGE, nan_image()]), r"images\[1\] has pixels that are NaN"),
    "infinite pixels": (lambda d: dict(images=nan_image() * 0 + np.inf), r"images\[0\] has pixels that are NaN or inf"),
    "integers out of range": (lambda d: dict(images=IMAGE.astype(np.int32) + 300), r"images\[0\].*300.*0\.\.255"),
    "64-bit integers out of range": (
        lambda d: dict(images=IMAGE.astype(np.uint64) + np.uint64(2**63)),
        r"images\[0\].*9223372036854775808.*0\.\.255",
    ),
    "complex pixels": (lambda d: dict(images=[IMAGE.astype(np.complex64)]), r"images\[0\] is an array of complex64"),
    "objects as pixels": (lambda d: dict(images=[IMAGE.astype(object)]), r"images\[0\] is an array of object, but must hold"),
    "complex ids": (
        lambda d: dict(images=IMAGE, segmentation_maps=[torch.from_numpy(MAP).to(torch.complex64)]),
        r"segmentation_maps\[0\] is an array of torch.complex64",
    ),
    "five channels": (lambda d: dict(images=np.zeros((5, 40, 60), np.uint8), input_data_format="channels_first"), r"\(5, 40, 60\)"),
    "five channels and no order": (
        lambda d: dict(images=np.zeros((40, 60, 5), np.uint8), do_convert_rgb=False),
        "input_data_format",
    ),
    "another mean than channels": (
        lambda d: dict(images=[IMAGE, np.zeros((40, 60), np.uint8)], do_convert_rgb=False),
        r"image_mean has 3 values, but images\[1\] has 1 channels",
    ),
    "unknown size key": (lambda d: dict(images=IMAGE, size={"side": 64}), r"side|size"),
    "size of zero": (lambda d: dict(images=IMAGE, size={"shortest_edge": 0, "longest_edge": 0}), r"positive|size"),
    "map of another size": (
        lambda d: dict(images=IMAGE, segmentation_maps=[MAP.T]),
        r"segmentation_maps\[0\] has \(60, 40\).*images\[0\] has \(40, 60\)",
    ),
    "map of four dimensions": (
        lambda d: dict(images=IMAGE, segmentation_maps=[np.ones((2, 3, 4, 5), np.uint8)]),
        r"\(2, 3, 4, 5\)",
    ),
    "map as a list": (lambda d: dict(images=IMAGE, segmentation_maps=[MAP.tolist()]), r"segmentation_maps\[0\] is a list, but"),
    "too few maps": (lambda d: dict(images=[IMAGE] * 2, segmentation_maps=[MAP]), r"1 maps for 2 images"),
    "fractional ids": (lambda d: dict(images=IMAGE, segmentation_maps=[MAP * 0.5]), r"aren't integers"),
    "negative class": (lambda d: dict(images=IMAGE, segmentation_maps=[MAP.astype(int) * -1]), r"class -1"),
    "unknown id": (
        lambda d: dict(images=[IMAGE] * 2, segmentation_maps=[MAP, MAP * 9], instance_id_to_semantic_id={1: 0}),
        r"segmentation_maps\[1\] holds the id 9, which instance_id_to_semantic_id",
    ),
    "id in no table": (
        lambda d: dict(images=IMAGE, segmentation_maps=[MAP * 9], segments_info=[[{"id": 1, "category_id": 0}]]),
        r"segmentation_maps\[0\] holds the id 9, which segments_info",
    ),
    "tables for other images": (
        lambda d: dict(images=IMAGE, segmentation_maps=[MAP], instance_id_to_semantic_id=[{1: 0}, {1: 0}]),
        r"instance_id_to_semantic_id has 2 entries for 1 images",
    ),
    "table without ids": (
        lambda d: dict(images=IMAGE, segmentation_maps=[MAP], segments_info=[[{"category_id": 0}]]),
        r"segments_info\[0\]",
    ),
    "two tables": (
        lambda d: dict(images=IMAGE, segmentation_maps=[MAP], segments_info=[[]], instance_id_to_semantic_id={}),
        r"both",
    ),
    "RGB map without a table": (lambda d: dict(images=IMAGE, segmentation_maps=[IMAGE]), r"RGB: it needs segments_info"),
    "RGBA map": (lambda d: dict(images=IMAGE, segmentation_maps=[Image.fromarray(IMAGE).convert("RGBA")]), r"mode RGBA"),
    "sizes that don't stack": (lambda d: dict(images=[IMAGE, IMAGE[:20]], do_pad=False), r"do_pad=True"),
}


@pytest.mark.parametrize("case", TABLE)
def test_error_names_what_is_wrong(processor_class, case, tmp_path):
    arguments, message = TABLE[case]
    processor = processor_class(size={"shortest_edge": 64, "longest_edge": 64})
    with pytest.raises(ValueError, match=message):
        processor(**arguments(tmp_path), return_tensors="pt")


def test_base64_text_longer_than_a_file_name_is_read():
    buffer = io.BytesIO()
    Image.fromarray(IMAGE[:8, :20]).save(buffer, "PPM")
    text = base64.b64encode(buffer.getvalue()).decode()
    assert 255 < len(text) < 4096 and "/" not in text
    assert load_pil(text, "images").size == (20, 8)


def test_size_is_checked_when_built():
    with pytest.raises(ValueError, match="shortest_edge"):
        EomtImageProcessor(size={"longest_edge": 64})


@pytest.mark.parametrize("resample", [4, 5])
def test_filters_of_pil_alone(resample):
    expected = rf"resample={resample} is no filter of EomtImageProcessor; give one of 0 \(nearest\), .*3 \(bicubic\)$"
    with pytest.raises(ValueError, match=expected):
        EomtImageProcessor(resample=resample)
    with pytest.raises(ValueError, match=expected):
        EomtImageProcessor()(IMAGE, resample=resample)
    assert EomtImageProcessorPil(resample=resample)(IMAGE, return_tensors="pt")["pixel_values"].shape == (1, 3, 640, 640)


def test_a_filter_that_is_none(processor_class):
    with pytest.raises(ValueError, match=r"resample='cubic' is no filter of Eomt.*2 \(bilinear\)"):
        processor_class(resample="cubic")
