"""Instances of tiles: every object once, the sharpest view of it, also where an edge cuts it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools import mask as coco_mask

from eomt import EomtImageProcessor
from eomt.image_processing.tiles import OVERLAP, TiledProcessor, spans
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput

SIDE, QUERIES, CLASSES = 64, 40, 2
PROCESSOR = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE})


def discs(size, centres, radius) -> torch.Tensor:
    """(n, H, W) bool."""
    rows, cols = torch.arange(size[0])[:, None], torch.arange(size[1])
    return torch.stack([(rows - y) ** 2 + (cols - x) ** 2 < radius**2 for y, x in centres])


def grid_of(size, step) -> list[tuple[int, int]]:
    return [(y, x) for y in range(step // 2, size[0], step) for x in range(step // 2, size[1], step)]


def ideal_outputs(processor: TiledProcessor, masks: torch.Tensor, labels: list[int]) -> EomtForUniversalSegmentationOutput:
    """What a model that knows the truth gives for the whole image and for each tile; its scores rise with the tiles' numbers."""
    size = tuple(masks.shape[1:])
    inputs = processor(images=[torch.zeros(3, *size, dtype=torch.uint8)], return_tensors="pt")
    mask_logits, class_logits = [], []
    for number, (x0, y0, x1, y1) in enumerate([(0, 0, size[1], size[0]), *processor.tiles(size)]):
        height, width = inputs["image_layouts"][number][:2].tolist()
        shown = [index for index, mask in enumerate(masks) if mask[y0:y1, x0:x1].any()][:QUERIES]
        canvas, classes = torch.zeros(QUERIES, SIDE, SIDE), torch.zeros(QUERIES, CLASSES + 1)
        classes[:, CLASSES] = 8
        if shown:
            window = masks[shown, y0:y1, x0:x1].float()
            canvas[: len(shown), :height, :width] = F.interpolate(window[None], size=(height, width), mode="area")[0]
        for query, index in enumerate(shown):
            classes[query] = torch.tensor([0.0, 0.0, 0.0])
            classes[query, labels[index]] = 4 + 0.1 * number
        mask_logits.append(16 * F.avg_pool2d(canvas, 4) - 8)
        class_logits.append(classes)
    return EomtForUniversalSegmentationOutput(
        masks_queries_logits=torch.stack(mask_logits),
        class_queries_logits=torch.stack(class_logits),
        image_layouts=inputs["image_layouts"],
    )


def instances_of(processor, masks, labels=None, threshold=0.5):
    """Masks (n, H, W), scores and classes of what is found."""
    outputs = ideal_outputs(processor, masks, labels or [0] * len(masks))
    (result,) = processor.post_process_instance_segmentation(outputs, [tuple(masks.shape[1:])], threshold)
    found = [torch.from_numpy(coco_mask.decode(rle)).bool() for rle in result["segmentation"]]
    return found, result["segments_info"]


def ious(found: list[torch.Tensor], masks: torch.Tensor) -> np.ndarray:
    return np.array([[((one & mask).sum() / (one | mask).sum()).item() for mask in masks] for one in found])


@pytest.mark.parametrize("size", [(128, 128), (80, 128), (128, 72)])
@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0])
def test_every_object_is_found_once(size, scale):
    """Also those on the edges of tiles, which two or four of them see."""
    masks = discs(size, grid_of(size, 24), radius=8)
    found, _ = instances_of(TiledProcessor(PROCESSOR, scale), masks)
    overlap = ious(found, masks)
    assert len(found) == len(masks) and (overlap.max(0) > 0.7).all() and ((overlap > 0.5).sum(1) == 1).all()


def test_tiles_are_sharper_than_the_whole_image():
    masks = discs((160, 160), grid_of((160, 160), 32), radius=6)
    quality = {}
    for scale in (1.0, 2.0, 4.0):
        found, _ = instances_of(TiledProcessor(PROCESSOR, scale), masks)
        quality[scale] = ious(found, masks).max(0).mean()
    assert quality[1.0] < quality[2.0] - 0.05 < quality[4.0] - 0.05


def test_a_large_object_is_the_whole_images_and_not_its_pieces():
    masks = discs((128, 128), [(64, 64)], radius=50)
    found, infos = instances_of(TiledProcessor(PROCESSOR, 3.0), masks)
    assert len(found) == 1 and ious(found, masks)[0, 0] > 0.9
    x0, y0, x1, y1 = infos[0]["bbox"]
    assert abs(x0 - 14) <= 2 and abs(y1 - 114) <= 2


def test_pieces_are_joined_where_the_whole_image_shows_nothing():
    """A bar crosses all tiles of a row."""
    size = (256, 256)
    masks = torch.zeros(1, *size, dtype=torch.bool)
    masks[0, 28:36, 10:246] = True
    processor = TiledProcessor(PROCESSOR, 4.0)
    outputs = ideal_outputs(processor, masks, [0])
    outputs.class_queries_logits[0, :, 0] = -20  # the whole image's queries find nothing
    (result,) = processor.post_process_instance_segmentation(outputs, [size], 0.5)
    found = [torch.from_numpy(coco_mask.decode(rle)).bool() for rle in result["segmentation"]]
    assert len(found) == 1 and found[0].any(0).nonzero().flatten()[[0, -1]].tolist() == pytest.approx([10, 245], abs=3)
    assert result["segments_info"][0]["bbox"][::2] == pytest.approx([10, 246], abs=3)


def test_objects_of_other_classes_stay_side_by_side():
    masks = discs((128, 128), [(64, 64), (64, 64)], radius=20)
    _, infos = instances_of(TiledProcessor(PROCESSOR, 2.0), masks, labels=[0, 1])
    assert sorted(info["label_id"] for info in infos) == [0, 1]


def test_stuff_has_no_instances():
    masks = discs((128, 128), grid_of((128, 128), 32), 9)
    labels = [0, 1] * (len(masks) // 2)
    settings = EomtImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE}, stuff_classes=[1])
    found, infos = instances_of(TiledProcessor(settings, 2.0), masks, labels)
    assert len(found) == labels.count(0) and {info["label_id"] for info in infos} == {0}


def test_a_poor_candidate_takes_no_good_ones_place():
    masks = discs((128, 128), [(40, 40)], radius=10)
    processor = TiledProcessor(PROCESSOR, 2.0)
    outputs = ideal_outputs(processor, masks, [0])
    outputs.class_queries_logits[1:, :, 0] -= 6  # tiles are all but sure that there is nothing
    (result,) = processor.post_process_instance_segmentation(outputs, [(128, 128)], 0.0)
    scores = [info["score"] for info in result["segments_info"]]
    assert scores[0] > 0.85 and scores == sorted(scores, reverse=True)


def test_top_k_counts_all_views():
    masks = discs((128, 128), grid_of((128, 128), 24), radius=8)
    processor = TiledProcessor(PROCESSOR, 2.0)
    (result,) = processor.post_process_instance_segmentation(ideal_outputs(processor, masks, [0] * 25), [(128, 128)], 0.0, top_k=7)
    assert len(result["segmentation"]) == 7


def test_more_than_top_k_are_found_beyond_it():
    """25 discs, of which no view may have more than 7 candidates otherwise, nor the image."""
    masks = discs((128, 128), grid_of((128, 128), 24), radius=8)
    processor = TiledProcessor(PROCESSOR, 2.0)
    outputs = ideal_outputs(processor, masks, [0] * 25)
    (result,) = processor.post_process_instance_segmentation(outputs, [(128, 128)], 0.0, top_k=7, beyond=0.3)
    found = [torch.from_numpy(coco_mask.decode(rle)).bool() for rle in result["segmentation"]]
    assert len(masks) <= len(found) and (ious(found, masks).max(0) > 0.6).all()
    assert min(info["score"] for info in result["segments_info"][7:]) >= 0.3


@pytest.mark.parametrize(("edge", "side"), [(100, 100), (100, 300), (100, 99), (100, 50), (101, 33), (1000, 64), (7, 2)])
def test_spans_cover_and_overlap(edge, side):
    found = spans(edge, min(side, edge))
    assert found[0][0] == 0 and found[-1][1] == edge and all(end - start == min(side, edge) for start, end in found)
    overlaps = [first[1] - second[0] for first, second in zip(found, found[1:], strict=False)]
    assert all(overlap >= OVERLAP * side - 1 for overlap in overlaps)
    fewer = len(found) - 1
    assert fewer < 2 or fewer * side - (fewer - 1) * OVERLAP * side < edge  # one less would not do


def test_a_pil_image_and_an_array_are_taken_as_by_the_processor():
    pixels = torch.randint(0, 256, (3, 90, 140), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    processor = TiledProcessor(PROCESSOR, 2.0)
    expected = processor(images=[pixels])["pixel_values"]
    array = pixels.permute(1, 2, 0).contiguous().numpy()
    for given in (Image.fromarray(array), [array]):
        assert torch.equal(processor(images=given)["pixel_values"], expected)


def test_an_image_that_one_tile_holds_has_none():
    assert TiledProcessor(PROCESSOR, 1.0).tiles((50, 80)) == []
    inputs = TiledProcessor(PROCESSOR, 1.0)(images=[torch.zeros(3, 50, 80, dtype=torch.uint8)])
    assert inputs["pixel_values"].shape == (1, 3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TiledProcessor(PROCESSOR, 0.5), "scale=0.5 must be 1 or more"),
        (lambda: TiledProcessor(PROCESSOR, float("nan")), "scale=nan must be 1 or more"),
        (lambda: TiledProcessor(EomtImageProcessor(do_split_image=True), 2), "do_split_image=True"),
        (lambda: TiledProcessor(PROCESSOR, 2)(images=[torch.zeros(3, 9, 9)] * 2), "images has 2 entries"),
        (lambda: instances_of(TiledProcessor(PROCESSOR, 2), torch.zeros(0, 128, 128)), None),
    ],
)
def test_what_is_refused(call, message):
    if message is None:
        assert call() == ([], [])
        return
    with pytest.raises(ValueError, match=message):
        call()


def test_outputs_of_another_image_are_refused():
    processor = TiledProcessor(PROCESSOR, 2.0)
    outputs = ideal_outputs(processor, discs((128, 128), [(40, 40)], 10), [0])
    outputs.masks_queries_logits = outputs.masks_queries_logits[:4]
    outputs.class_queries_logits = outputs.class_queries_logits[:4]
    outputs["image_layouts"] = outputs["image_layouts"][:4]
    with pytest.raises(ValueError, match=r"4 inputs, but an image of \(128, 128\) has 9 tiles"):
        processor.post_process_instance_segmentation(outputs, [(128, 128)])
    with pytest.raises(ValueError, match="return_rles=False"):
        processor.post_process_instance_segmentation(outputs, [(128, 128)], return_rles=False)
