"""Targets: void, padding, reduction, id maps, RGB panoptic PNGs, crowds, windows (fault 14)."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil as StockPil

from eomt import EomtImageProcessor, EomtImageProcessorPil

BOTH = pytest.mark.parametrize("processor_class", [EomtImageProcessor, EomtImageProcessorPil])
SQUARE = {"shortest_edge": 64, "longest_edge": 64}
IMAGE = np.zeros((48, 64, 3), np.uint8)


def stripes(*values: int, dtype=np.uint8) -> np.ndarray:
    """A (48, 64) map of vertical stripes of equal width."""
    return np.repeat(np.array(values, dtype), 64 // len(values))[None].repeat(48, 0)


def labels(processor_class, label_map, image=IMAGE, call=None, **settings):
    output = processor_class(size=SQUARE, **settings)(image, [label_map], return_tensors="pt", **(call or {}))
    return output["mask_labels"][0], output["class_labels"][0].tolist()


@BOTH
def test_void_and_padding_get_no_mask(processor_class):
    masks, classes = labels(processor_class, stripes(0, 1, 255, 3), ignore_index=255)
    assert classes == [0, 1, 3]
    assert masks.dtype == torch.float32 and masks.shape == (3, 64, 64)
    assert masks[:, 48:].sum() == 0, "padding"
    assert masks[:, :, 32:48].sum() == 0, "void"
    assert masks.sum((1, 2)).tolist() == [48 * 16] * 3


@BOTH
def test_reduced_labels(processor_class):
    _, classes = labels(processor_class, stripes(0, 1, 2, 5), do_reduce_labels=True)
    assert classes == [0, 1, 4]
    _, classes = labels(processor_class, stripes(0, 1, 255, 5), do_reduce_labels=True, ignore_index=255)
    assert classes == [0, 4]


@pytest.mark.parametrize(
    ("processor_class", "stock_class"),
    [(EomtImageProcessor, transformers.EomtImageProcessor), (EomtImageProcessorPil, StockPil)],
)
@pytest.mark.parametrize("mapping", [None, {1: 3, 2: 3, 3: 1, 7: 2}])
@pytest.mark.parametrize("split", [False, True])
def test_equals_stock_where_stock_is_right(processor_class, stock_class, mapping, split):
    """Without padding, and reducing as stock means by `ignore_index`."""
    rng = np.random.default_rng(0)
    label_map = rng.choice(np.array([0, 1, 2, 3, 7], np.uint8), (64, 160 if split else 64))
    image = np.zeros((*label_map.shape, 3), np.uint8)
    settings = dict(size={"shortest_edge": 64}, do_split_image=split)
    ours = processor_class(**settings, ignore_index=255, do_reduce_labels=True)(image, [label_map], mapping)
    stock = stock_class(**settings, ignore_index=255)(image, [label_map], mapping)
    assert len(ours["mask_labels"]) == len(stock["mask_labels"]) == (3 if split else 1)
    for name in ("mask_labels", "class_labels"):
        assert all(torch.equal(a, b) for a, b in zip(ours[name], stock[name], strict=True))


@BOTH
def test_instances_of_one_class(processor_class):
    masks, classes = labels(
        processor_class,
        stripes(0, 300, 7, 65535, dtype=np.uint16),
        call={"instance_id_to_semantic_id": [{0: 9, 300: 2, 7: 2, 65535: 4}]},
    )
    assert classes == [9, 2, 2, 4]  # by id: 0, 7, 300, 65535
    assert masks[1, 0].nonzero().flatten().tolist() == list(range(32, 48))


@BOTH
def test_ignore_index_is_about_ids(processor_class):
    """The background's id may be the number of a class, and may be listed as itself."""
    call = {"instance_id_to_semantic_id": {1: 0, 2: 0, 3: 1}}
    assert labels(processor_class, stripes(0, 1, 2, 3), call=call, ignore_index=0)[1] == [0, 0, 1]
    call["instance_id_to_semantic_id"][0] = 0
    assert labels(processor_class, stripes(0, 1, 2, 3), call=call, ignore_index=0)[1] == [0, 0, 1]


def rgb_map(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


@BOTH
@pytest.mark.parametrize("form", ["array", "pil", "channels first", "path", "pathlib"])
def test_rgb_panoptic_png_with_its_table(processor_class, form, tmp_path):
    ids = stripes(0, 5, 255, 1_000_000, dtype=np.int64)  # 255 is pure red, not void
    rgb = rgb_map(ids)
    Image.fromarray(rgb).save(tmp_path / "map.png")
    given = {
        "array": rgb,
        "pil": Image.fromarray(rgb),
        "channels first": rgb.transpose(2, 0, 1),
        "path": str(tmp_path / "map.png"),
        "pathlib": tmp_path / "map.png",
    }[form]
    table = [
        {"id": 5, "category_id": 3, "iscrowd": 1},
        {"id": 255, "category_id": 2, "iscrowd": 0},
        {"id": 1_000_000, "label_id": 7},
    ]
    masks, classes = labels(processor_class, given, call={"segments_info": [table]}, ignore_index=255)
    assert classes == [2, 7]
    assert masks.sum((1, 2)).tolist() == [48 * 16] * 2


@BOTH
@pytest.mark.parametrize("size", [(1, 20), (20, 1), (1, 1), (3, 20), (20, 3), (1, 3), (3, 1)])
def test_maps_of_a_few_rows_or_columns(processor_class, size):
    """An axis of one or three pixels isn't taken for channels."""
    image, ids = Image.new("RGB", size[::-1]), np.full(size, 5, np.uint8)
    rgb = rgb_map(ids.astype(np.int64))
    for given in (Image.fromarray(rgb), rgb, rgb.transpose(2, 0, 1), ids, ids[None], ids[..., None]):
        for maps in (given, [given]):
            output = processor_class(size=SQUARE)(image, maps, segments_info=[{"id": 5, "category_id": 3}])
            assert output["class_labels"][0].tolist() == [3] and output["mask_labels"][0].any()


@BOTH
def test_own_panoptic_result_is_a_label(processor_class):
    segments = [{"id": 0, "label_id": 3, "score": 0.9}, {"id": 1, "label_id": 1, "score": 0.9}]
    masks, classes = labels(
        processor_class, torch.from_numpy(stripes(0, 1, -1, 0, dtype=np.int64)), call={"segments_info": segments}, ignore_index=-1
    )
    assert classes == [3, 1] and masks.sum((1, 2)).tolist() == [48 * 32, 48 * 16]


@pytest.mark.parametrize("dtype", [">f4", "longdouble"])
def test_ids_as_floats_of_another_byte_order_or_length(dtype):
    assert labels(EomtImageProcessor, stripes(0, 1, 300, 3, dtype=np.dtype(dtype)))[1] == [0, 1, 3, 300]


@BOTH
def test_images_without_segments(processor_class):
    masks, classes = labels(processor_class, stripes(255), ignore_index=255)
    assert masks.shape == (0, 64, 64) and classes == []
    masks, classes = labels(processor_class, stripes(0), call={"segments_info": [[]]})
    assert masks.shape == (0, 64, 64) and classes == []


@BOTH
def test_palette_maps_are_indices(processor_class):
    label_map = Image.fromarray(stripes(0, 1, 2, 255)).convert("P")
    label_map.putdata(stripes(0, 1, 2, 255).flatten().tolist())
    assert labels(processor_class, label_map, ignore_index=255)[1] == [0, 1, 2]


@BOTH
def test_windows_have_their_own_targets(processor_class):
    """Each window holds the segments it shows; the table of an image serves all its windows."""
    image = np.zeros((64, 192, 3), np.uint8)
    label_map = np.repeat(np.array([1, 2, 3], np.uint8), 64)[None].repeat(64, 0)
    output = processor_class(size={"shortest_edge": 64}, do_split_image=True)(
        [image, image], [label_map, label_map], [{1: 4, 2: 5, 3: 6}, {1: 0, 2: 1, 3: 2}], return_tensors="pt"
    )
    assert [c.tolist() for c in output["class_labels"]] == [[4], [5], [6], [0], [1], [2]]
    assert all(masks.shape == (1, 64, 64) and masks.all() for masks in output["mask_labels"])


@BOTH
def test_stacked_maps(processor_class):
    maps = np.stack([stripes(0, 1), stripes(2, 3), stripes(4, 5)])
    output = processor_class(size=SQUARE)([IMAGE] * 3, maps, return_tensors="pt")
    assert [c.tolist() for c in output["class_labels"]] == [[0, 1], [2, 3], [4, 5]]


@BOTH
def test_coco_photo_keeps_its_segments(processor_class, shared_data):
    root = shared_data("coco_panoptic100")
    annotations = json.loads((root / "panoptic_train2017.json").read_text())
    crowded = [a for a in annotations["annotations"] if any(s["iscrowd"] for s in a["segments_info"])][:2]
    images = [Image.open(root / "train2017" / a["file_name"].replace(".png", ".jpg")) for a in crowded]
    maps = [Image.open(root / "panoptic_train2017" / a["file_name"]) for a in crowded]
    output = processor_class()(images, maps, segments_info=[a["segments_info"] for a in crowded], return_tensors="pt")
    for annotation, classes, masks in zip(crowded, output["class_labels"], output["mask_labels"], strict=True):
        kept = sorted((s["id"], s["category_id"], s["area"]) for s in annotation["segments_info"] if not s["iscrowd"])
        assert classes.tolist() == [category for _, category, _ in kept]
        areas = torch.tensor([area for _, _, area in kept]) / sum(area for _, _, area in kept)
        shares = masks.sum((1, 2)) / masks.sum()
        assert (areas - shares).abs().max() < 2e-3


@BOTH
def test_nuclei_of_a_16_bit_map(processor_class, shared_data):
    path = sorted(shared_data("dsb2018/labels").iterdir())[0]
    ids = np.unique(np.array(Image.open(path)))
    image = Image.new("RGB", Image.open(path).size)
    output = processor_class()(image, [str(path)], {int(i): 0 for i in ids if i}, ignore_index=0, return_tensors="pt")
    assert output["class_labels"][0].tolist() == [0] * (len(ids) - 1)
