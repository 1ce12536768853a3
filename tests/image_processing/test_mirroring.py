"""The mirror image's scores come back to their places, of wide and of upright images, in one window and in several."""

import pytest
import torch

from eomt import EomtImageProcessor
from eomt.image_processing.mirroring import MirroredProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput

PLAIN = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True, do_pad=False)


class Painter:
    """A model that does what an image's pixels say, alike in both: query 0 is where they are bright, query 1 where not."""

    def __call__(self, pixel_values, **inputs):
        brightness = torch.nn.functional.avg_pool2d(pixel_values.mean(1, keepdim=True), 4)
        masks = torch.cat([brightness, -brightness], 1) * 3
        classes = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]).expand(len(masks), -1, -1)
        return EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes, **inputs)


@pytest.mark.parametrize("size", [(64, 64), (64, 150), (150, 64), (90, 100), (33, 97)])
def test_a_model_without_a_side_gives_the_same(size):
    """And class scores do as well, so that no window has come to another's place."""
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    results = {}
    for name, processor in {"plain": PLAIN, "mirrored": MirroredProcessor(PLAIN)}.items():
        inputs = processor(images=[image], return_tensors="pt")
        (result,) = processor.post_process_semantic_segmentation(Painter()(**inputs), [size], return_segmentation_scores=True)
        results[name] = result
    torch.testing.assert_close(results["mirrored"].segmentation_scores, results["plain"].segmentation_scores, atol=2e-2, rtol=0)
    agreement = (results["mirrored"].segmentation == results["plain"].segmentation).float().mean()
    assert agreement > 0.97  # the image is resized after it is mirrored, which rounds otherwise


def test_what_only_one_of_both_sees_counts_half():
    inputs = MirroredProcessor(PLAIN)(images=[torch.full((3, 64, 64), 255, dtype=torch.uint8)])
    outputs = Painter()(**inputs)
    outputs.class_queries_logits = torch.full((2, 2, 3), -20.0)
    outputs.class_queries_logits[0, 0, 0] = outputs.class_queries_logits[1, 0, 1] = (
        20  # class 0 in the image, 1 in its mirror image
    )
    (result,) = MirroredProcessor(PLAIN).post_process_semantic_segmentation(outputs, [(64, 64)], return_segmentation_scores=True)
    torch.testing.assert_close(result.segmentation_scores[0], result.segmentation_scores[1], atol=1e-4, rtol=0)


def test_what_is_refused():
    with pytest.raises(ValueError, match="do_split_image=False"):
        MirroredProcessor(EomtImageProcessor())
    with pytest.raises(ValueError, match="images has 2 entries"):
        MirroredProcessor(PLAIN)(images=[torch.zeros(3, 64, 64)] * 2)
