"""The page's script against the Python package: the same inputs to the last bit, and the same segments in every pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtImageProcessor
from eomt.image_processing.panoptic import panoptic_segmentation
from eomt.image_processing.sizes import Layout, content_size
from eomt.train_scripts.web.page_settings import page_settings

FITTED, WIDE, STRETCHED = (
    {"shortest_edge": 64, "longest_edge": 64},
    {"shortest_edge": 48, "longest_edge": 80},
    {"height": 48, "width": 64},
)
MAP = """
const [classLogits, maskLogits] = [given.outputs.classLogits, given.outputs.maskLogits].map((logits) => Float32Array.from(logits));
const outputs = { ...given.outputs, classLogits, maskLogits };
return segmentation.panoptic(outputs, given.layout, given.target, given.thresholds, given.stuff);"""


def settings(size, **fields):
    return page_settings(EomtImageProcessor(size=size, **fields), ["a", "b"], (8, 8))


@pytest.mark.parametrize("size", [FITTED, WIDE, STRETCHED])
def test_images_are_resized_to_the_sizes_of_the_image_processor(node, size):
    generator = np.random.default_rng(0)
    images = [(height, width) for height in (1, 7, 63, 64, 65, 333, 4000) for width in (1, 8, 64, 640, 3000)]
    images += generator.integers(1, 3000, (200, 2)).tolist()
    code = "return given.images.map((size) => segmentation.contentSize(size, given.settings));"
    sizes = node(code, {"images": images, "settings": settings(size)})
    assert [tuple(found) for found in sizes] == [content_size(tuple(image), size, fit=True) for image in images]


@pytest.mark.parametrize("size", [FITTED, STRETCHED])
@pytest.mark.parametrize("image_size", [(64, 64), (150, 201), (131, 90), (20, 33), (1, 90)])
def test_inputs_are_those_of_the_image_processor(node, size, image_size):
    """To the last bit, also where an image is enlarged and where it is padded: padding is (0 - mean) / std."""
    pixels = np.random.default_rng(0).integers(0, 256, (*image_size, 3), dtype=np.uint8)
    inputs = EomtImageProcessor(size=size)(Image.fromarray(pixels), return_tensors="pt")
    rgba = np.concatenate([pixels, np.full((*image_size, 1), 255, np.uint8)], 2)
    code = "return segmentation.modelInput(Uint8ClampedArray.from(given.pixels), given.size, given.settings);"
    found = node(code, {"pixels": rgba.ravel().tolist(), "size": image_size, "settings": settings(size)})
    assert found["content"] == inputs["image_layouts"][0, :2].tolist()
    assert torch.equal(torch.tensor(found["input"]).view(inputs["pixel_values"].shape), inputs["pixel_values"])


@pytest.mark.parametrize("fields", [{"do_normalize": False}, {"do_rescale": False}, {"image_mean": [0.5, 0.4, 0.3]}])
def test_inputs_follow_the_settings(node, fields):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    inputs = EomtImageProcessor(size=FITTED, **fields)(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    rgba = np.concatenate([pixels, np.full((64, 64, 1), 255, np.uint8)], 2)
    code = "return segmentation.modelInput(Uint8ClampedArray.from(given.pixels), given.size, given.settings).input;"
    found = node(code, {"pixels": rgba.ravel().tolist(), "size": [64, 64], "settings": settings(FITTED, **fields)})
    torch.testing.assert_close(torch.tensor(found).view(inputs.shape), inputs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("thresholds", "content", "target"),
    [
        ((0.8, 0.5, 0.5), (64, 64), (64, 64)),
        ((0.3, 0.5, 0.5), (64, 48), (150, 113)),
        ((0.1, 0.3, 0.0), (40, 64), (25, 40)),
        ((1 - 1e-6, 0.5, 0.8), (64, 64), (30, 30)),
    ],
)
def test_every_pixel_is_that_of_python(node, thresholds, content, target):
    """Whatever the thresholds, from a map without a segment to one of many, and where stuff is merged."""
    torch.manual_seed(0)
    masks = torch.nn.functional.interpolate(4 * torch.randn(1, 12, 5, 5), size=(16, 16), mode="bicubic")[0]
    classes = 3 * torch.randn(12, 6)
    layout, stuff = Layout(content, (64, 64)), [3, 4]
    expected = panoptic_segmentation(masks, classes, layout, target, *thresholds, stuff)
    given = {
        "outputs": {"classLogits": classes.ravel().tolist(), "maskLogits": masks.ravel().tolist()}
        | {"queries": 12, "classes": 6, "maskSize": [16, 16]},
        "layout": {"canvas": [64, 64], "content": content},
        "target": target,
        "thresholds": dict(zip(("score", "mask", "overlap"), thresholds, strict=True)),
        "stuff": stuff,
    }
    found = node(MAP, given)
    assert torch.equal(torch.tensor(found["ids"]).view(target), expected["segmentation"])
    labels = [info["label_id"] for info in expected["segments_info"]]
    assert [segment["label"] for segment in found["segments"]] == labels
    assert [segment["score"] for segment in found["segments"]] == pytest.approx(
        [info["score"] for info in expected["segments_info"]]
    )
    areas = [(expected["segmentation"] == info["id"]).sum().item() for info in expected["segments_info"]]
    assert [segment["area"] for segment in found["segments"]] == areas
    assert (len(labels) == 0) == (thresholds[0] > 0.99) and labels.count(3) <= 1
