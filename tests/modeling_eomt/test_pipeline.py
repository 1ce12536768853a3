"""The pipeline reads images as the image processor does, and leaves other models' pipelines alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor, pipeline
from transformers.pipelines.image_segmentation import ImageSegmentationPipeline

from eomt import EomtImageProcessor
from eomt.pipeline import EomtImageSegmentationPipeline


@pytest.fixture
def segmenter(tiny_model, tmp_path):
    tiny_model().save_pretrained(tmp_path / "model")
    EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(tmp_path / "model")
    return pipeline("image-segmentation", model=str(tmp_path / "model"))


def images() -> dict[str, Image.Image]:
    """Of every mode that transformers' own reading changes, and one turned by EXIF."""
    deep = np.add.outer(np.arange(48) * 1300, np.arange(64) * 100).astype(np.uint16)
    color = np.random.default_rng(0).integers(0, 255, (48, 64, 4), dtype=np.uint8)
    turned = Image.fromarray(color[..., :3])
    turned.getexif()[0x0112] = 6
    return {
        "deep": Image.fromarray(deep),
        "grey": Image.fromarray(color[..., 0]),
        "transparent": Image.fromarray(color, "RGBA"),
        "palette": Image.fromarray(color[..., :3]).quantize(16),
        "turned": turned,
    }


@pytest.mark.parametrize("kind", images())
@pytest.mark.parametrize("as_file", [False, True])
def test_the_models_input_is_the_processors(segmenter, tmp_path, kind, as_file):
    image, path = images()[kind], tmp_path / f"{kind}.png"
    image.save(path, exif=image.getexif())
    source = str(path) if as_file else Image.open(path)
    inputs = segmenter.preprocess(source)
    assert torch.equal(inputs["pixel_values"], segmenter.image_processor(str(path), return_tensors="pt")["pixel_values"])
    upright = (64, 48) if kind == "turned" else (48, 64)
    assert inputs["target_size"] == [upright]
    for segment in segmenter(source, threshold=0.0):
        assert segment["mask"].size == upright[::-1]


def test_a_file_that_is_no_image_is_named(segmenter, tmp_path):
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(ValueError, match="x.png: can't be read as an image"):
        segmenter(str(tmp_path / "x.png"))


def test_other_models_keep_transformers_pipeline():
    model = SegformerForSemanticSegmentation(SegformerConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], decoder_hidden_size=8))
    processor = SegformerImageProcessor(size={"height": 64, "width": 64})
    segmenter = pipeline("image-segmentation", model=model, image_processor=processor)
    assert isinstance(segmenter, EomtImageSegmentationPipeline)
    image = images()["transparent"]
    theirs = ImageSegmentationPipeline.preprocess(segmenter, image)
    assert torch.equal(segmenter.preprocess(image)["pixel_values"], theirs["pixel_values"])
