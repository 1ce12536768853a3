"""The pipeline reads images as the image processor does, runs batches, and leaves other models' pipelines alone."""

import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor, pipeline
from transformers.pipelines.image_segmentation import ImageSegmentationPipeline

from eomt import EomtImageProcessor
from eomt.image_processing.pixels import URL_TIMEOUT
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


def test_a_masked_model_takes_more_images_a_batch_than_it_has_masked_blocks(tiny_model):
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    segmenter = pipeline("image-segmentation", model=tiny_model(probs=1.0, num_blocks=2), image_processor=processor)
    photos, options = list(images().values()), {"threshold": 0.0, "overlap_mask_area_threshold": 0.0}
    results = segmenter(photos, batch_size=4, **options)
    assert len(results) == 5 and all(results)
    for segments, expected in zip(results, segmenter(photos, batch_size=1, **options), strict=True):
        assert [segment["label"] for segment in segments] == [segment["label"] for segment in expected]
        assert [segment["score"] for segment in segments] == pytest.approx([segment["score"] for segment in expected], abs=1e-4)
        for segment, other in zip(segments, expected, strict=True):
            assert np.mean(np.array(segment["mask"]) != np.array(other["mask"])) < 0.01


def test_the_timeout_is_that_of_the_request(segmenter, monkeypatch):
    timeouts = []

    def urlopen(request, timeout):
        timeouts.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    for options in ({"timeout": 3}, {}):
        with pytest.raises(ValueError, match="inputs: http://localhost/x.png: can't be read as an image"):
            segmenter("http://localhost/x.png", **options)
    assert timeouts == [3, URL_TIMEOUT]


def test_other_models_keep_transformers_pipeline():
    model = SegformerForSemanticSegmentation(SegformerConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], decoder_hidden_size=8))
    processor = SegformerImageProcessor(size={"height": 64, "width": 64})
    segmenter = pipeline("image-segmentation", model=model, image_processor=processor)
    assert isinstance(segmenter, EomtImageSegmentationPipeline)
    image = images()["transparent"]
    theirs = ImageSegmentationPipeline.preprocess(segmenter, image)
    assert torch.equal(segmenter.preprocess(image)["pixel_values"], theirs["pixel_values"])
    assert segmenter(image)
