"""What the three post-processing methods have in common, by themselves and under the pipeline."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import pipeline

from eomt import EomtImageProcessor

SQUARE = {"shortest_edge": 64, "longest_edge": 64}
VOID = -1


METHODS = pytest.mark.parametrize("method", [f"post_process_{task}_segmentation" for task in ("panoptic", "instance", "semantic")])


def segmentation_of(result) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result["segmentation"]


@METHODS
def test_batched_equals_single(outputs, random_outputs, method):
    given, sizes = random_outputs(4, images=3), [(37, 150), (90, 61), (64, 64)]
    post_process = getattr(EomtImageProcessor(size=SQUARE), method)
    for i, result in enumerate(post_process(given, sizes)):
        one = outputs(given.masks_queries_logits[i : i + 1], given.class_queries_logits[i : i + 1])
        single = post_process(one, sizes[i : i + 1])[0]
        assert torch.equal(segmentation_of(single), segmentation_of(result))


@METHODS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(outputs, random_outputs, method, dtype):
    given, sizes = random_outputs(4), [(37, 150), (90, 61)]
    half = outputs(given.masks_queries_logits.to(dtype), given.class_queries_logits.to(dtype))
    same = outputs(half.masks_queries_logits.float(), half.class_queries_logits.float())
    post_process = getattr(EomtImageProcessor(size=SQUARE), method)
    for a, b in zip(post_process(half, sizes), post_process(same, sizes), strict=True):
        assert torch.equal(segmentation_of(a), segmentation_of(b))


@METHODS
def test_without_target_sizes_results_are_as_large_as_the_input(random_outputs, method):
    results = getattr(EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}), method)(random_outputs(0))
    assert [segmentation_of(result).shape for result in results] == [(64, 128)] * 2


@METHODS
def test_wrong_number_of_sizes(random_outputs, method):
    with pytest.raises(ValueError, match="1 entries for 2 images"):
        getattr(EomtImageProcessor(size=SQUARE), method)(random_outputs(0), [(64, 64)])


@METHODS
def test_images_without_segments(random_outputs, method):
    given, sizes = random_outputs(0), [(37, 150), (90, 61)]
    given.class_queries_logits[..., -1] = 50
    for result, size in zip(getattr(EomtImageProcessor(size=SQUARE), method)(given, sizes), sizes, strict=True):
        assert segmentation_of(result).shape == size
        if "semantic" not in method:
            assert result["segments_info"] == [] and (result["segmentation"] == VOID).all()


@METHODS
def test_unpadded_images_fill_the_input(random_outputs, method):
    """`do_pad=False` and an image of 64 x 96 by itself: nothing is to be cut off. Outputs of the padded image say the same."""
    given = random_outputs(0, images=1)
    given.masks_queries_logits = F.interpolate(given.masks_queries_logits, size=(16, 24), mode="bilinear")
    padded = random_outputs(0, images=1)
    padded.masks_queries_logits = F.pad(given.masks_queries_logits, (0, 0, 0, 8), mode="replicate")
    call = dict(target_sizes=[(64, 96)])
    size = {"shortest_edge": 96, "longest_edge": 96}
    processor = EomtImageProcessor(size=size, do_pad=False)
    got = segmentation_of(getattr(processor, method)(given, **call)[0])
    want = segmentation_of(getattr(processor, method)(padded, **call, do_pad=True)[0])
    assert (got == want).float().mean() > 0.97  # padding shows in the last rows


def test_plain_dict_as_size(random_outputs):
    processor = EomtImageProcessor(size=SQUARE)
    processor.size = {"shortest_edge": 64, "longest_edge": None}
    assert processor.post_process_semantic_segmentation(random_outputs(0), [(64, 64)] * 2)[0].shape == (64, 64)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("subtask", [None, "panoptic", "instance", "semantic"])
def test_pipeline(tiny_model, subtask, split):
    size = {"shortest_edge": 64} if split else SQUARE
    processor = EomtImageProcessor(size=size, do_split_image=split, stuff_classes=[0, 1])
    segmenter = pipeline("image-segmentation", model=tiny_model(), image_processor=processor)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 120, 3), dtype=np.uint8))
    call = dict(subtask=subtask, threshold=0.0)
    if split and subtask == "instance":
        with pytest.raises(ValueError, match="patch_offsets is set"):
            segmenter(image, **call)
        return
    found = segmenter(image, **call)
    assert all(segment["mask"].size == image.size for segment in found)
    assert found or not split
