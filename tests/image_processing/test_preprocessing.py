"""Pixels in: equal to stock where stock is right, and right where stock isn't (faults 13 and 16)."""

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil as StockPil
from transformers.utils import logging

from eomt import EomtImageProcessor, EomtImageProcessorPil

BOTH = pytest.mark.parametrize("processor_class", [EomtImageProcessor, EomtImageProcessorPil])
AND_STOCK = pytest.mark.parametrize(
    ("processor_class", "stock_class"),
    [(EomtImageProcessor, transformers.EomtImageProcessor), (EomtImageProcessorPil, StockPil)],
)
SQUARE = {"shortest_edge": 64, "longest_edge": 64}


def photos(*sizes: tuple[int, int]) -> list[np.ndarray]:
    """Smooth random RGB images of (height, width)."""
    rng = np.random.default_rng(0)
    small = [Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)) for _ in sizes]
    return [np.array(image.resize(size[::-1], Image.BICUBIC)) for image, size in zip(small, sizes, strict=True)]


MIXED = [(48, 100), (100, 48), (64, 64), (30, 77), (133, 200), (64, 48), (48, 100)]


@AND_STOCK
@pytest.mark.parametrize(
    "settings",
    [
        {"size": SQUARE, "do_pad": True},
        {"size": {"shortest_edge": 64, "longest_edge": None}, "do_split_image": True, "do_pad": True},
        {"size": {"shortest_edge": 64}, "do_split_image": True, "do_pad": False},
        {"size": SQUARE, "do_split_image": True, "do_pad": True},  # one padded window an image
        {"size": {"height": 64, "width": 96}, "do_pad": False},
        {"size": SQUARE, "do_pad": True, "do_normalize": False},
        {"size": SQUARE, "do_pad": True, "resample": 3},
    ],
)
@pytest.mark.parametrize("disable_grouping", [None, False])
def test_equals_stock_bit_for_bit(processor_class, stock_class, settings, disable_grouping):
    images = photos(*MIXED)
    ours = processor_class(**settings)(images, return_tensors="pt", disable_grouping=disable_grouping)
    stock = stock_class(**settings)(images, return_tensors="pt", disable_grouping=disable_grouping)
    assert torch.equal(ours["pixel_values"], stock["pixel_values"])
    assert [o.tolist() for o in ours.get("patch_offsets", [])] == [o.tolist() for o in stock["patch_offsets"]]


@pytest.mark.parametrize("split", [False, True])
def test_backends_agree(split):
    size = {"shortest_edge": 64} if split else SQUARE
    images = photos(*MIXED)
    outputs = [
        cls(size=size, do_split_image=split, do_normalize=False)(images, return_tensors="pt")["pixel_values"]
        for cls in (EomtImageProcessor, EomtImageProcessorPil)
    ]
    assert (outputs[0] - outputs[1]).abs().max() <= 1.5 / 255  # one grey level


@BOTH
def test_mixed_sizes_by_default(processor_class):
    pixels = processor_class()(photos((200, 300), (300, 200)), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (2, 3, 640, 640)


@BOTH
def test_batched_equals_single(processor_class):
    processor, images = processor_class(size=SQUARE), photos(*MIXED)
    batch = processor(images, return_tensors="pt")["pixel_values"]
    single = [processor(image, return_tensors="pt")["pixel_values"] for image in images]
    assert torch.equal(batch, torch.cat(single))


@BOTH
def test_wide_canvas_takes_upright_images(processor_class):
    processor = processor_class(size={"shortest_edge": 64, "longest_edge": 128})
    images = [np.full((*size, 3), 9, np.uint8) for size in [(100, 200), (200, 100), (100, 110)]]
    pixels = processor(images, return_tensors="pt", do_normalize=False)["pixel_values"]
    assert pixels.shape == (3, 3, 64, 128)
    assert pixels[1, :, :, 32:].abs().max() == 0 and pixels[1, :, :, :32].min() > 0


@BOTH
def test_windows_need_no_padding_and_cover_the_image(processor_class):
    image = photos((48, 200))[0]
    output = processor_class(size={"shortest_edge": 64}, do_split_image=True)(image, return_tensors="pt")
    offsets = [offset.tolist() for offset in output["patch_offsets"]]
    long_side = int(64 * 200 / 48)
    assert output["pixel_values"].shape == (5, 3, 64, 64)
    assert offsets[0][1] == 0 and offsets[-1][2] == long_side
    assert all(end - start == 64 for _, start, end in offsets)
    assert all(later[1] <= earlier[2] for earlier, later in zip(offsets, offsets[1:], strict=False))


def test_a_size_that_never_splits_says_so(monkeypatch):
    said = []
    monkeypatch.setattr(logging.get_logger("eomt.image_processing.processor"), "warning_once", said.append)
    for size in (SQUARE, {"shortest_edge": 64}, {"shortest_edge": 64, "longest_edge": 256}):
        EomtImageProcessor(size=size, do_split_image=True)(photos((48, 200))[0])
    assert len(said) == 1 and "one padded window" in said[0]


@BOTH
def test_modes_and_types_mean_the_same_pixels(processor_class):
    """Grey as L, 16-bit, bool, palette, RGBA, float, channels first: each equals its 8-bit RGB twin."""
    processor = processor_class(size=SQUARE)
    rgb = photos((64, 64))[0]
    grey = rgb[..., 0]
    grey_rgb = grey[..., None].repeat(3, -1)
    black_white = grey > 100
    palette = Image.fromarray(rgb).quantize(16)
    see_through = np.concatenate([rgb, np.full((64, 64, 1), 255, np.uint8)], -1)
    invisible = np.concatenate([rgb, np.zeros((64, 64, 1), np.uint8)], -1)
    white = np.full_like(rgb, 255)
    sixteen_bit = grey.astype(np.uint16) * 257
    pairs = [
        (Image.fromarray(grey), grey_rgb),
        (grey, grey_rgb),
        (Image.fromarray(sixteen_bit), grey_rgb),
        (sixteen_bit, grey_rgb),
        (torch.from_numpy(sixteen_bit), grey_rgb),
        (black_white, black_white[..., None].repeat(3, -1) * np.uint8(255)),
        (Image.fromarray(black_white), black_white[..., None].repeat(3, -1) * np.uint8(255)),
        (palette, np.array(palette.convert("RGB"))),
        (Image.fromarray(see_through), rgb),
        (see_through, rgb),
        (Image.fromarray(invisible), white),
        (invisible, white),
        (Image.fromarray(see_through).convert("RGBa"), rgb),
        (Image.fromarray(invisible).convert("RGBa"), white),
        (Image.fromarray(grey).convert("LA").convert("La"), grey_rgb),
        (rgb.astype(np.float32), rgb),
        (rgb.astype(np.int64), rgb),
        (rgb.astype(np.uint32), rgb),
        (torch.from_numpy(rgb).to(torch.uint64), rgb),
        (sixteen_bit.astype(">u2"), grey_rgb),
        (rgb.astype(">f4"), rgb),
        (rgb.astype(np.longdouble), rgb),
        (torch.from_numpy(rgb).permute(2, 0, 1), rgb),
        (Image.fromarray(rgb).convert("CMYK"), np.array(Image.fromarray(rgb).convert("CMYK").convert("RGB"))),
    ]
    for i, (image, twin) in enumerate(pairs):
        got, want = (processor(x, return_tensors="pt")["pixel_values"] for x in (image, twin))
        assert torch.allclose(got, want, atol=1e-5), i


@BOTH
def test_floats_from_0_to_1(processor_class):
    rgb = photos((40, 90))[0]
    processor = processor_class(size=SQUARE)
    got = processor(rgb / np.float32(255), do_rescale=False, return_tensors="pt")["pixel_values"]
    want = processor(rgb.astype(np.float32), return_tensors="pt")["pixel_values"]
    assert torch.allclose(got, want, atol=1e-4)


@BOTH
def test_pixels_with_a_gradient(processor_class):
    image = torch.from_numpy(photos((40, 90))[0]).float()
    processor = processor_class(size=SQUARE)
    want = processor(image, return_tensors="pt")["pixel_values"]
    assert torch.equal(processor(image.requires_grad_(), return_tensors="pt")["pixel_values"], want)


@BOTH
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(processor_class, orientation, tmp_path):
    """An image stored turned, with the tag that says so, is the upright image; its labels are those of the upright one."""
    upright = Image.fromarray(photos((40, 64))[0])
    turns = Image.Transpose
    undo = {
        1: None,
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    processor = processor_class(size=SQUARE)
    labels = np.zeros((40, 64), np.uint8)
    want = processor(upright, labels, return_tensors="pt")
    for image in (str(path), path, Image.open(path)):
        got = processor(image, labels, return_tensors="pt")
        assert torch.equal(got["pixel_values"], want["pixel_values"])
        assert torch.equal(got["mask_labels"][0], want["mask_labels"][0])


@BOTH
def test_a_line_of_pixels(processor_class):
    pixels = processor_class(size=SQUARE)(np.full((1, 900, 3), 200, np.uint8), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 64, 64)


@BOTH
def test_one_grey_channel_on_request(processor_class):
    processor = processor_class(size=SQUARE, do_convert_rgb=False, image_mean=[0.5], image_std=[0.5])
    assert processor(photos((40, 90))[0][..., 0], return_tensors="pt")["pixel_values"].shape == (1, 1, 64, 64)


@BOTH
@pytest.mark.parametrize("channels", [2, 3, 6, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_any_number_of_channels_on_request(processor_class, channels, dtype):
    """Each channel comes out as a grey image of it does."""
    image = np.random.default_rng(0).integers(0, 256, (channels, 48, 100)).astype(dtype)
    settings = dict(size=SQUARE, do_convert_rgb=False, do_normalize=False)
    want = torch.cat([processor_class(**settings)(plane, return_tensors="pt")["pixel_values"] for plane in image], 1)
    mean, std = np.linspace(0.2, 0.6, channels).tolist(), np.linspace(0.1, 0.3, channels).tolist()
    want = (want - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    processor = processor_class(**{**settings, "do_normalize": True}, image_mean=mean, image_std=std)
    for array, data_format in ((image, "channels_first"), (image.transpose(1, 2, 0), "channels_last")):
        got = processor(array, input_data_format=data_format, return_tensors="pt")["pixel_values"]
        assert got.shape == (1, channels, 64, 64) and torch.allclose(got, want, atol=2e-5)


@torch.no_grad()
def test_a_model_takes_six_channels(tiny_model):
    processor = EomtImageProcessor(size=SQUARE, do_convert_rgb=False, image_mean=[0.5] * 6, image_std=[0.5] * 6)
    batch = processor(np.zeros((48, 64, 6), np.uint8), input_data_format="channels_last", return_tensors="pt")
    outputs = tiny_model(num_channels=6)(**batch)
    assert processor.post_process_semantic_segmentation(outputs, [(48, 64)])[0].shape == (48, 64)


@BOTH
def test_real_photos(processor_class, shared_data):
    paths = sorted(shared_data("coco_panoptic100/train2017").iterdir())[:4]
    processor = processor_class(size={"shortest_edge": 128, "longest_edge": 128})
    from_paths = processor([str(path) for path in paths], return_tensors="pt")["pixel_values"]
    from_pil = processor([Image.open(path) for path in paths], return_tensors="pt")["pixel_values"]
    assert from_paths.shape == (4, 3, 128, 128) and torch.equal(from_paths, from_pil)
