"""Outputs -> segments: equal to stock where stock is right, and right where stock isn't (faults 15 to 18)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from pycocotools import mask as coco_mask
from transformers import pipeline
from transformers.image_transforms import get_size_with_aspect_ratio

from eomt.image_processing import EomtImageProcessor, EomtImageProcessorPil
from eomt.image_processing.upsampling import resize_rows, rows_under

BOTH = pytest.mark.parametrize("processor_class", [EomtImageProcessor, EomtImageProcessorPil])
SQUARE = {"shortest_edge": 64, "longest_edge": 64}
VOID = -1


def outputs(masks: torch.Tensor, classes: torch.Tensor, offsets=None) -> SimpleNamespace:
    return SimpleNamespace(masks_queries_logits=masks, class_queries_logits=classes, patch_offsets=offsets)


def random_outputs(seed: int, images: int = 2, queries: int = 12, num_classes: int = 4, side: int = 16, confidence: float = 3.0):
    """Smooth overlapping blobs with class logits of some confidence."""
    generator = torch.Generator().manual_seed(seed)
    masks = F.interpolate(torch.randn(images, queries, 4, 4, generator=generator) * 6, size=(side, side), mode="bicubic")
    return outputs(masks, torch.randn(images, queries, num_classes + 1, generator=generator) * confidence)


def perfect_outputs(inputs, queries: int = 8, num_classes: int = 6) -> SimpleNamespace:
    """The outputs of a model that is right: each target's mask at full size and its class, other queries say no-object."""
    masks, classes = [], []
    for mask_labels, class_labels in zip(inputs["mask_labels"], inputs["class_labels"], strict=True):
        logits = torch.full((queries, *mask_labels.shape[1:]), -30.0)
        logits[: len(mask_labels)] = mask_labels * 60 - 30
        labels = torch.full((queries,), num_classes)
        labels[: len(class_labels)] = class_labels
        masks.append(logits)
        classes.append(F.one_hot(labels, num_classes + 1) * 30.0)
    return outputs(torch.stack(masks), torch.stack(classes), inputs.get("patch_offsets"))


def blocks(height: int, width: int, num_classes: int = 6, seed: int = 0) -> np.ndarray:
    """A label map of four by four blocks."""
    cells = np.random.default_rng(seed).integers(0, num_classes, (4, 4), dtype=np.uint8)
    return cells[np.arange(height) * 4 // height][:, np.arange(width) * 4 // width]


def stock_and_ours(**settings):
    settings = {"size": SQUARE, "do_pad": True, **settings}
    return transformers.EomtImageProcessor(**settings), EomtImageProcessor(**settings)


# panoptic


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("thresholds", [(0.8, 0.5, 0.8, None), (0.3, 0.5, 0.5, [0, 1]), (0.0, 0.4, 0.0, [2]), (0.9, 0.5, 0.5, [])])
def test_panoptic_equals_stock_bit_for_bit(seed, thresholds):
    sizes = [((37, 150), (64, 64)), ((181, 75), (90, 161)), ((64, 33), (20, 21))][seed % 3]
    stock, ours = stock_and_ours()
    given = random_outputs(seed)
    if seed % 4 == 0:  # ties: of equals the first wins
        given.masks_queries_logits[:, 1] = given.masks_queries_logits[:, 0]
        given.class_queries_logits[:, 1] = given.class_queries_logits[:, 0]
    if seed % 5 == 0:  # saturated probabilities tie as well
        given.masks_queries_logits *= 20
    results = [p.post_process_panoptic_segmentation(given, list(sizes), *thresholds) for p in (ours, stock)]
    for mine, theirs in zip(*results, strict=True):
        assert mine["segments_info"] == theirs["segments_info"]
        assert torch.equal(mine["segmentation"], theirs["segmentation"].long())


def test_panoptic_merges_the_stored_stuff():
    given = random_outputs(1, confidence=6.0)
    given.masks_queries_logits += 3
    call = dict(target_sizes=[(50, 80)] * 2, threshold=0.1, overlap_mask_area_threshold=0.0)
    stock, plain = stock_and_ours()
    stored = EomtImageProcessor(size=SQUARE, stuff_classes=[0, 1, 2, 3])
    want = stock.post_process_panoptic_segmentation(given, **call, stuff_classes=[0, 1, 2, 3])
    separate = plain.post_process_panoptic_segmentation(given, **call)
    for got, expected, single in zip(stored.post_process_panoptic_segmentation(given, **call), want, separate, strict=True):
        labels = [segment["label_id"] for segment in got["segments_info"]]
        assert len(labels) == len(set(labels)) < len(single["segments_info"])
        assert torch.equal(got["segmentation"], expected["segmentation"]) and got["segments_info"] == expected["segments_info"]
    override = stored.post_process_panoptic_segmentation(given, **call, stuff_classes=[])
    assert [r["segments_info"] for r in override] == [r["segments_info"] for r in separate]


@BOTH
def test_perfect_panoptic_prediction(processor_class):
    """Segments come back at the original size, whichever way the image lies, but for their outlines."""
    processor = processor_class(size=SQUARE)
    maps = [blocks(48, 100), blocks(100, 48, seed=1), blocks(30, 30, seed=2)]
    images = [np.zeros((*m.shape, 3), np.uint8) for m in maps]
    inputs = processor(images, maps, return_tensors="pt")
    results = processor.post_process_panoptic_segmentation(perfect_outputs(inputs), [m.shape for m in maps])
    for result, truth in zip(results, maps, strict=True):
        classes = torch.tensor([s["label_id"] for s in result["segments_info"]] + [VOID])[result["segmentation"]]
        assert (classes == torch.from_numpy(truth)).float().mean() > 0.95


# instance


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_instances_equal_stock(seed, threshold):
    stock, ours = stock_and_ours()
    given, sizes = random_outputs(seed), [(37, 150), (90, 61)]
    results = [p.post_process_instance_segmentation(given, sizes, threshold=threshold) for p in (ours, stock)]
    for mine, theirs in zip(*results, strict=True):
        assert [(s["id"], s["label_id"]) for s in mine["segments_info"]] == [
            (s["id"], s["label_id"]) for s in theirs["segments_info"]
        ]
        for a, b in zip(mine["segments_info"], theirs["segments_info"], strict=True):
            assert abs(a["score"] - b["score"]) < 3e-6
        assert torch.equal(mine["segmentation"] == VOID, theirs["segmentation"] == VOID)
        assert mine["segmentation"].dtype == theirs["segmentation"].dtype


def test_higher_scores_end_on_top():
    """The second query scores less and covers the first: in stock it hides it."""
    masks = torch.full((1, 2, 16, 16), -20.0)
    masks[0, 0, 4:8, 4:8] = 20
    masks[0, 1, 2:10, 2:10] = 20
    classes = torch.tensor([[[9.0, 0, 0], [3.0, 0, 0]]])
    ours = EomtImageProcessor(size=SQUARE)
    result = ours.post_process_instance_segmentation(outputs(masks, classes), [(64, 64)], threshold=0.5)[0]
    assert result["segmentation"][24, 24] == 0 and result["segmentation"][10, 10] == 1
    assert [s["id"] for s in result["segments_info"]] == [0, 1]


def test_binary_maps_runs_and_boxes_agree():
    given, sizes = random_outputs(3), [(37, 150), (90, 61)]
    ours = EomtImageProcessor(size=SQUARE)
    call = dict(target_sizes=sizes, threshold=0.2)
    plain = ours.post_process_instance_segmentation(given, **call)
    binary = ours.post_process_instance_segmentation(given, **call, return_binary_maps=True)
    coco = ours.post_process_instance_segmentation(given, **call, return_coco_annotation=True)
    overlaps = 0
    for ids, maps, runs, size in zip(plain, binary, coco, sizes, strict=True):
        assert ids["segments_info"] == maps["segments_info"] == runs["segments_info"]
        assert maps["segmentation"].shape == (len(ids["segments_info"]), *size)
        for segment, mask, run in zip(ids["segments_info"], maps["segmentation"], runs["segmentation"], strict=True):
            rows, cols = mask.nonzero().unbind(1)
            assert segment["bbox"] == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
            decoded = torch.zeros(size, dtype=torch.bool).flatten()
            for start, length in zip(run[::2], run[1::2], strict=True):
                decoded[start - 1 : start - 1 + length] = True
            assert torch.equal(decoded.view(size), mask)
            assert (mask | (ids["segmentation"] != segment["id"])).all(), "the id map shows part of each mask"
        overlaps += int((maps["segmentation"].sum(0) > 1).sum())
    assert overlaps > 0


def test_rles_are_those_of_the_binary_maps():
    given, sizes = random_outputs(3), [(37, 150), (90, 61)]
    ours = EomtImageProcessor(size=SQUARE)
    call = dict(target_sizes=sizes, threshold=0.1, top_k=20)
    binary = ours.post_process_instance_segmentation(given, **call, return_binary_maps=True)
    for maps, rles in zip(binary, ours.post_process_instance_segmentation(given, **call, return_rles=True), strict=True):
        rounded = [{**segment, "score": round(segment["score"], 6)} for segment in rles["segments_info"]]
        assert maps["segments_info"] == rounded != rles["segments_info"] and len(rles["segmentation"]) > 3
        decoded = coco_mask.decode(rles["segmentation"])
        assert np.array_equal(decoded.transpose(2, 0, 1), maps["segmentation"].numpy())
    with pytest.raises(ValueError, match="return_binary_maps and return_rles are both True"):
        ours.post_process_instance_segmentation(given, **call, return_binary_maps=True, return_rles=True)


def test_run_lengths_as_in_mask2former():
    from transformers.models.mask2former.image_processing_mask2former import binary_mask_to_rle

    from eomt.image_processing.instance import run_lengths

    generator = torch.Generator().manual_seed(0)
    for density in (0.0, 0.3, 1.0):
        mask = torch.rand(13, 7, generator=generator) < density
        assert run_lengths(mask) == binary_mask_to_rle(mask.int())


def test_official_top_k():
    """Over queries x classes: written out in full for one image, as the official evaluation does it."""
    given, size = random_outputs(5, images=1, confidence=1.0), (37, 150)
    ours = EomtImageProcessor(size=SQUARE)
    result = ours.post_process_instance_segmentation(given, [size], threshold=0.0, top_k=20, return_binary_maps=True)[0]
    height, width = get_size_with_aspect_ratio(size, 64, 64)
    logits = F.interpolate(given.masks_queries_logits, size=(64, 64), mode="bilinear")[..., :height, :width]
    logits = F.interpolate(logits, size=size, mode="bilinear")[0]
    scores, pairs = given.class_queries_logits[0].softmax(-1)[:, :-1].flatten().topk(20)
    want = []
    for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
        mask = logits[pair // 4] > 0
        if mask.any():
            mean = (logits[pair // 4].sigmoid() * mask).sum() / (mask.sum() + 1e-6)
            want.append((score * mean.item(), pair % 4, mask))
    want.sort(key=lambda entry: -entry[0])
    assert len({s["label_id"] for s in result["segments_info"]}) > 1
    assert [s["label_id"] for s in result["segments_info"]] == [label for _, label, _ in want]
    for segment, mask, (score, _, truth) in zip(result["segments_info"], result["segmentation"], want, strict=True):
        assert abs(segment["score"] - score) < 2e-6 and torch.equal(mask, truth)


# semantic


@pytest.mark.parametrize("seed", range(3))
def test_semantic_equals_stock_on_square_images(seed):
    stock, ours = stock_and_ours()
    given, sizes = random_outputs(seed), [(64, 64), (101, 101)]
    mine, theirs = (p.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True) for p in (ours, stock))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a["segmentation_scores"], b["segmentation_scores"], atol=1e-5)
        assert (a["segmentation"] == b["segmentation"]).float().mean() > 0.999
    maps = ours.post_process_semantic_segmentation(given, sizes)
    assert all(torch.equal(a["segmentation"], b) for a, b in zip(mine, maps, strict=True))


@pytest.mark.parametrize("settings", [{"size": SQUARE}, {"size": {"shortest_edge": 64}, "do_split_image": True}])
def test_with_a_tolerance_a_class_is_as_good_as_the_best_to_that(settings):
    processor, sizes = EomtImageProcessor(**settings), [(64, 170), (250, 90)]
    offsets = processor([np.zeros((*size, 3), np.uint8) for size in sizes]).get("patch_offsets")
    given = random_outputs(0, images=len(offsets or sizes), queries=40, num_classes=30, confidence=4.0)
    given.patch_offsets = offsets
    exact = processor.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True)
    loose = processor.post_process_semantic_segmentation(given, sizes, tolerance=0.2)
    changed = 0
    for truth, classes in zip(exact, loose, strict=True):
        chosen = truth["segmentation_scores"].gather(0, classes[None])[0]
        assert (truth["segmentation_scores"].amax(0) - chosen).max() <= 0.2 + 1e-6
        changed += int((classes != truth["segmentation"]).sum())
    assert 0 < changed < 0.1 * sum(height * width for height, width in sizes)  # something was left out, and little changed


@pytest.mark.parametrize(("level", "tolerance"), [(-20.0, 0.001), (-200.0, 0.0)])
def test_rows_in_which_nothing_is_found_have_class_0(level, tolerance):
    given = random_outputs(0)
    given.masks_queries_logits = given.masks_queries_logits.clone()
    given.masks_queries_logits[:, :, : given.masks_queries_logits.shape[2] // 2] = level
    maps = EomtImageProcessor(size=SQUARE).post_process_semantic_segmentation(given, [(200, 200)] * 2, tolerance=tolerance)
    assert all(not found[:45].any() and found[120:].any() for found in maps)


@pytest.mark.parametrize(("old", "new"), [((16, 16), (64, 64)), ((40, 53), (30, 71)), ((1, 1), (5, 3)), ((7, 5), (7, 5))])
def test_rows_are_those_of_the_whole_resized(old, new):
    planes = torch.randn(3, *old, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(planes[None], size=new, mode="bilinear")[0]
    for start, end in ((0, new[0]), (0, 1), (new[0] - 1, new[0]), (new[0] // 3, new[0] // 2 + 1)):
        first, last = rows_under(start, end, old[0], new[0])
        rows = resize_rows(planes[:, first:last], new, start, end, old[0], first)
        assert torch.allclose(rows, whole[:, start:end], atol=1e-6)


def test_windows_equal_stock():
    settings = dict(size={"shortest_edge": 64}, do_split_image=True)
    stock, ours = stock_and_ours(**settings)
    sizes = [(64, 170), (250, 90)]
    offsets = ours([np.zeros((*size, 3), np.uint8) for size in sizes])["patch_offsets"]
    given = random_outputs(0, images=len(offsets))
    given.patch_offsets = offsets
    mine, theirs = (p.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True) for p in (ours, stock))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a["segmentation_scores"], b["segmentation_scores"], atol=1e-5)
    given.patch_offsets = [tuple(offset.tolist()) for offset in offsets]
    for a, b in zip(ours.post_process_semantic_segmentation(given, sizes), mine, strict=True):
        assert torch.equal(a, b["segmentation"])


@BOTH
@pytest.mark.parametrize(
    "settings",
    [
        {"size": SQUARE},
        {"size": {"shortest_edge": 64}, "do_split_image": True},
        {"size": SQUARE, "do_split_image": True},  # a single window, padded
        {"size": {"shortest_edge": 64, "longest_edge": 96}},
        {"size": {"height": 64, "width": 96}},
    ],
)
def test_perfect_semantic_prediction(processor_class, settings):
    """The image's own size at the model's input, so that nothing is lost to resampling: not a pixel is wrong."""
    processor = processor_class(**settings)
    split = processor.do_split_image and "longest_edge" not in settings["size"]
    sizes = [(64, 192), (64, 64), (192, 64)] if split else [(64, 32), (32, 64), (48, 64)]
    if "height" in settings["size"]:
        sizes = [(64, 96)] * 2
    elif settings["size"].get("longest_edge") == 96:
        sizes = [(64, 80), (64, 24), (32, 96)]
    maps = [blocks(*size, seed=i) for i, size in enumerate(sizes)]
    inputs = processor([np.zeros((*size, 3), np.uint8) for size in sizes], maps, return_tensors="pt")
    given = perfect_outputs(inputs)
    for got, truth in zip(processor.post_process_semantic_segmentation(given, sizes), maps, strict=True):
        assert torch.equal(got, torch.from_numpy(truth).long())


@BOTH
@pytest.mark.parametrize(
    "settings, sizes",
    [
        ({}, [(48, 40), (64, 64), (20, 60)]),
        ({}, [(100, 80)]),  # sticks out of the canvas both ways
        ({"do_pad": False}, [(48, 40)]),
        ({"do_pad": False}, [(32, 32)]),
        ({"do_split_image": True}, [(64, 150), (30, 150), (40, 20), (200, 64)]),
        ({"do_split_image": True}, [(100, 80)]),
        ({"do_split_image": True, "do_pad": False}, [(150, 30)]),
    ],
)
def test_perfect_prediction_of_images_that_are_not_resized(processor_class, settings, sizes):
    processor = processor_class(**{"size": SQUARE, "do_pad": True, "do_resize": False, **settings})
    maps = [blocks(*size, seed=i) for i, size in enumerate(sizes)]
    inputs = processor([np.zeros((*size, 3), np.uint8) for size in sizes], maps, return_tensors="pt")
    given = perfect_outputs(inputs)
    for got, truth in zip(processor.post_process_semantic_segmentation(given, sizes), maps, strict=True):
        assert torch.equal(got, torch.from_numpy(truth).long())
    for result, truth in zip(processor.post_process_panoptic_segmentation(given, sizes), maps, strict=True):
        classes = torch.tensor([segment["label_id"] for segment in result["segments_info"]] + [VOID])
        assert torch.equal(classes[result["segmentation"]], torch.from_numpy(truth).long())


# windows under the other methods


def test_windowed_panoptic_gives_one_segment_a_class():
    processor = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True)
    sizes = [(50, 170), (120, 60)]
    given = random_outputs(2, images=5)
    given.patch_offsets = processor([np.zeros((*size, 3), np.uint8) for size in sizes])["patch_offsets"]
    given.masks_queries_logits = given.masks_queries_logits[:1].repeat(len(given.patch_offsets), 1, 1, 1)
    given.class_queries_logits = given.class_queries_logits[:1].repeat(len(given.patch_offsets), 1, 1)
    results = processor.post_process_panoptic_segmentation(given, sizes, threshold=0.9)
    semantic = processor.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True)
    for result, truth, size in zip(results, semantic, sizes, strict=True):
        assert result["segmentation"].shape == size
        labels = torch.tensor([s["label_id"] for s in result["segments_info"]])
        assert labels.tolist() == truth["segmentation"].unique().tolist() and len(labels) > 1
        assert torch.equal(labels[result["segmentation"]], truth["segmentation"])
        for segment in result["segments_info"]:
            mean = truth["segmentation_scores"][segment["label_id"]][result["segmentation"] == segment["id"]].mean()
            assert abs(segment["score"] - mean) < 1e-5


def test_windowed_instances_say_what_to_do():
    given = random_outputs(0)
    given.patch_offsets = [(0, 0, 64), (0, 40, 104)]
    with pytest.raises(ValueError, match="do_split_image=False"):
        EomtImageProcessor(size={"shortest_edge": 64}).post_process_instance_segmentation(given, [(64, 104)])


@pytest.mark.parametrize(
    ("offsets", "sizes", "message"),
    [
        ([(0, 0, 64)], [(64, 104)], "1 windows"),
        ([(0, 0, 64), (1, 0, 64)], [(64, 64)], "images"),
        ([(0, 0), (0, 40)], [(64, 104)], "image index, start, end"),
        ([(0, 0, 64), (0, 40, 104)], None, "target_sizes"),
    ],
)
def test_wrong_offsets(offsets, sizes, message):
    given = random_outputs(0)
    given.patch_offsets = offsets
    with pytest.raises(ValueError, match=message):
        EomtImageProcessor(size={"shortest_edge": 64}).post_process_semantic_segmentation(given, sizes)


# all of them

METHODS = pytest.mark.parametrize("method", [f"post_process_{task}_segmentation" for task in ("panoptic", "instance", "semantic")])


def segmentation_of(result) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else result["segmentation"]


@METHODS
def test_batched_equals_single(method):
    given, sizes = random_outputs(4, images=3), [(37, 150), (90, 61), (64, 64)]
    post_process = getattr(EomtImageProcessor(size=SQUARE), method)
    for i, result in enumerate(post_process(given, sizes)):
        one = outputs(given.masks_queries_logits[i : i + 1], given.class_queries_logits[i : i + 1])
        single = post_process(one, sizes[i : i + 1])[0]
        assert torch.equal(segmentation_of(single), segmentation_of(result))


@METHODS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(method, dtype):
    given, sizes = random_outputs(4), [(37, 150), (90, 61)]
    half = outputs(given.masks_queries_logits.to(dtype), given.class_queries_logits.to(dtype))
    same = outputs(half.masks_queries_logits.float(), half.class_queries_logits.float())
    post_process = getattr(EomtImageProcessor(size=SQUARE), method)
    for a, b in zip(post_process(half, sizes), post_process(same, sizes), strict=True):
        assert torch.equal(segmentation_of(a), segmentation_of(b))


@METHODS
def test_without_target_sizes_results_are_as_large_as_the_input(method):
    results = getattr(EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}), method)(random_outputs(0))
    assert [segmentation_of(result).shape for result in results] == [(64, 128)] * 2


@METHODS
def test_wrong_number_of_sizes(method):
    with pytest.raises(ValueError, match="1 entries for 2 images"):
        getattr(EomtImageProcessor(size=SQUARE), method)(random_outputs(0), [(64, 64)])


@METHODS
def test_images_without_segments(method):
    given, sizes = random_outputs(0), [(37, 150), (90, 61)]
    given.class_queries_logits[..., -1] = 50
    for result, size in zip(getattr(EomtImageProcessor(size=SQUARE), method)(given, sizes), sizes, strict=True):
        assert segmentation_of(result).shape == size
        if "semantic" not in method:
            assert result["segments_info"] == [] and (result["segmentation"] == VOID).all()


def test_formats_of_images_without_instances():
    given, sizes = random_outputs(0), [(37, 150), (90, 61)]
    given.class_queries_logits[..., -1] = 50
    post_process = EomtImageProcessor(size=SQUARE).post_process_instance_segmentation
    binary = post_process(given, sizes, return_binary_maps=True)
    assert [tuple(result["segmentation"].shape) for result in binary] == [(0, 37, 150), (0, 90, 61)]
    coco = post_process(given, sizes, return_coco_annotation=True, top_k=3)
    assert [result["segmentation"] for result in coco] == [[], []]
    with pytest.raises(ValueError, match="one format"):
        post_process(given, sizes, return_binary_maps=True, return_coco_annotation=True)


@METHODS
def test_unpadded_images_fill_the_input(method):
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


def test_plain_dict_as_size():
    processor = EomtImageProcessor(size=SQUARE)
    processor.size = {"shortest_edge": 64, "longest_edge": None}
    assert processor.post_process_semantic_segmentation(random_outputs(0), [(64, 64)] * 2)[0].shape == (64, 64)


# under the pipeline


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
