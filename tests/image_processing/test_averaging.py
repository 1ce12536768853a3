"""The scores of all views of an image come back to their places: of windows, of several scales, and of the mirror image."""

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtImageProcessor
from eomt.image_processing.averaging import AveragingProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput

PLAIN = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True, do_pad=False)
VIEWS = {
    "once": AveragingProcessor(PLAIN),
    "mirrored": AveragingProcessor(PLAIN, mirror=True),
    "larger": AveragingProcessor(PLAIN, (1.5,)),
    "several scales, mirrored": AveragingProcessor(PLAIN, (1.0, 1.3, 2.0), mirror=True),
}


class Painter:
    """A model that does what an image's pixels say, alike in both: query 0 is where they are bright, query 1 where not."""

    def __call__(self, pixel_values, **inputs):
        brightness = torch.nn.functional.avg_pool2d(pixel_values.mean(1, keepdim=True), 4)
        masks = torch.cat([brightness, -brightness], 1) * 3
        classes = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]).expand(len(masks), -1, -1)
        return EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes, **inputs)


def smooth(size: tuple[int, int]) -> torch.Tensor:
    """An image of large blurred spots, (3, H, W) uint8, which is alike at all scales."""
    spot = min(size) / 3
    spots = [2 + round(edge / spot) for edge in size]
    coarse = torch.randint(0, 256, (1, 3, *spots), generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse.float(), size, mode="bicubic").clamp(0, 255).round()[0].to(torch.uint8)


@pytest.mark.parametrize("size", [(64, 64), (64, 150), (150, 64), (90, 100), (33, 97), (300, 420)])
@pytest.mark.parametrize("name", VIEWS)
def test_a_model_without_a_side_gives_the_same(name, size):
    """And class scores do as well, so that no window has come to another's place."""
    image, results = smooth(size), {}
    for processor in (PLAIN, VIEWS[name]):
        inputs = processor(images=[image], return_tensors="pt")
        assert inputs["pixel_values"].shape[1:] == (3, 64, 64)
        (result,) = processor.post_process_semantic_segmentation(Painter()(**inputs), [size], return_segmentation_scores=True)
        results[processor] = result
    plain, seen = results[PLAIN], results[VIEWS[name]]
    difference = (plain.segmentation_scores - seen.segmentation_scores).abs()
    assert difference.mean() < 0.02 and difference.max() < 0.35  # views at other scales are sharper or rounded otherwise
    assert (plain.segmentation == seen.segmentation).float().mean() > 0.97


def test_a_pil_image_and_an_array_are_taken_as_by_the_processor():
    image = smooth((90, 40))
    expected = VIEWS["larger"](images=[image])["pixel_values"]
    for given in (Image.fromarray(image.permute(1, 2, 0).numpy()), [image.permute(1, 2, 0).numpy()]):
        assert torch.equal(VIEWS["larger"](images=given)["pixel_values"], expected)
    with pytest.raises(ValueError, match=r"images\[0\] has torch.float32 pixels"):
        VIEWS["larger"](images=[image / 255])


@pytest.mark.parametrize("name", VIEWS)
def test_arrays_have_what_tensors_have(name):
    tensors, arrays = (VIEWS[name](smooth((90, 40)), return_tensors=kind) for kind in ("pt", "np"))
    assert tensors.keys() == arrays.keys()
    for key, array in arrays.items():
        assert isinstance(array, np.ndarray) and np.array_equal(array, tensors[key].numpy())


def test_windows_of_the_usual_scale_are_those_of_the_processor():
    for size in [(64, 150), (200, 64), (90, 100), (300, 421)]:
        image = smooth(size)
        expected = PLAIN(images=[image], return_tensors="pt")["pixel_values"]
        shown = VIEWS["mirrored"](images=[image], return_tensors="pt")["pixel_values"]
        assert len(shown) == 2 * len(expected)
        torch.testing.assert_close(shown[: len(expected)], expected, atol=0.03, rtol=0)  # a step of 8 bits is .017
        torch.testing.assert_close(shown[len(expected) :].flip(-1), shown[: len(expected)], atol=0, rtol=0)


def test_windows_cover_the_image_and_show_what_their_scale_says():
    processor = AveragingProcessor(PLAIN, (2.0, 1.0))
    content = processor.content((100, 160))
    assert content == (128, 204)
    boxes = processor.boxes((100, 160))
    covered = torch.zeros(2, *content)
    for index, (rows, cols) in enumerate(boxes):
        scale = 0 if index < len(boxes) - 2 else 1  # the usual scale has two windows
        assert rows[1] - rows[0] == cols[1] - cols[0] == (64, 128)[scale]
        covered[scale, slice(*rows), slice(*cols)] += 1
    assert len(boxes) == 8 + 2 and (covered > 0).all()


def test_what_only_one_of_both_sees_counts_half():
    processor = VIEWS["mirrored"]
    inputs = processor(images=[torch.full((3, 64, 64), 255, dtype=torch.uint8)])
    outputs = Painter()(**inputs)
    outputs.class_queries_logits = torch.full((2, 2, 3), -20.0)
    # class 0 in the image, 1 in its mirror image
    outputs.class_queries_logits[0, 0, 0] = outputs.class_queries_logits[1, 0, 1] = 20
    (result,) = processor.post_process_semantic_segmentation(outputs, [(64, 64)], return_segmentation_scores=True)
    torch.testing.assert_close(result.segmentation_scores[0], result.segmentation_scores[1], atol=1e-4, rtol=0)


def test_what_is_refused():
    with pytest.raises(ValueError, match="do_split_image=False"):
        AveragingProcessor(EomtImageProcessor())
    for scales in ((), (0.5,), (1.0, 1.0), (17.0,)):
        with pytest.raises(ValueError, match="must be different numbers from 1 to 16"):
            AveragingProcessor(PLAIN, scales)
    with pytest.raises(ValueError, match="images has 2 entries"):
        VIEWS["once"](images=[torch.zeros(3, 64, 64)] * 2)
    with pytest.raises(ValueError, match=r"outputs are of 1 inputs, but an image of \(64, 64\) has 2 views"):
        outputs = Painter()(**PLAIN(images=[torch.zeros(3, 64, 64, dtype=torch.uint8)], return_tensors="pt"))
        VIEWS["mirrored"].post_process_semantic_segmentation(outputs, [(64, 64)])
