"""How an image was resized and padded travels from the processor through the model to post-processing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from transformers import pipeline

from eomt import EomtImageProcessor

TASKS = ("panoptic", "instance", "semantic")
SQUARE = {"shortest_edge": 64, "longest_edge": 64}
BLACK, SHAPE = 0, 1  # the classes of `scene`


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of a bright rectangle on black, off the centre, and the map of its classes."""
    classes = np.full((height, width), BLACK, np.uint8)
    classes[height // 8 : height // 2, width // 4 : width * 3 // 4] = SHAPE
    return (classes * 255)[..., None].repeat(3, -1), classes


def seen_by_a_perfect_model(batch, state_layouts: bool = True) -> SimpleNamespace:
    """Outputs of a model that tells bright pixels from black ones, at a quarter of its input's size."""
    bright = F.avg_pool2d((batch["pixel_values"][:, :1] > 0.5).float(), 4) * 20 - 10
    classes = torch.tensor([[9.0, 0, 0], [0, 9.0, 0]]).expand(len(bright), 2, 3)
    extra = {"image_layouts": batch["image_layouts"]} if state_layouts else {}
    return SimpleNamespace(
        masks_queries_logits=torch.cat([-bright, bright], 1),
        class_queries_logits=classes,
        patch_offsets=batch.get("patch_offsets"),
        **extra,
    )


def classes_of(result) -> torch.Tensor:
    if isinstance(result, torch.Tensor):
        return result
    labels = torch.tensor([segment["label_id"] for segment in result["segments_info"]] + [-1])
    return labels[result["segmentation"].long()]


def post_process(processor, task: str, outputs, **call) -> list[torch.Tensor]:
    threshold = {} if task == "semantic" else {"threshold": 0.5}
    results = getattr(processor, f"post_process_{task}_segmentation")(outputs, **threshold, **call)
    return [classes_of(result) for result in results]


@pytest.mark.parametrize(
    ("call", "rows"),
    [
        ({}, [[32, 64, 64, 64], [64, 32, 64, 64]]),
        ({"do_resize": False}, [[20, 40, 64, 64], [200, 100, 200, 100]]),
        ({"size": {"height": 48, "width": 80}}, [[48, 80, 48, 80]] * 2),
        ({"size": {"shortest_edge": 64}, "do_split_image": True}, [[64, 128, 64, 64]] * 2 + [[128, 64, 64, 64]] * 2),
        ({"size": {"shortest_edge": 64}, "do_pad": False}, [[64, 128, 64, 128], [128, 64, 128, 64]]),
        ({"do_resize": False, "do_split_image": True}, [[20, 40, 64, 64]] + [[200, 100, 64, 100]] * 4),
    ],
)
def test_a_row_states_content_and_input(processor_class, call, rows):
    batch = processor_class(size=SQUARE)([scene(20, 40)[0], scene(200, 100)[0]], **call)
    assert [row.tolist() for row in batch["image_layouts"]] == rows
    assert [tuple(image.shape[-2:]) for image in batch["pixel_values"]] == [tuple(row[2:]) for row in rows]
    assert all(row.dtype == torch.int64 for row in batch["image_layouts"])


@pytest.mark.parametrize(("kind", "of"), [("pt", torch.Tensor), ("np", np.ndarray)])
def test_layouts_of_a_batch_are_one_tensor(processor_class, kind, of):
    layouts = processor_class(size=SQUARE)([scene(20, 40)[0]] * 3, return_tensors=kind)["image_layouts"]
    assert isinstance(layouts, of) and layouts.shape == (3, 4) and str(layouts.dtype).endswith("int64")


CALLS = pytest.mark.parametrize(
    ("call", "size"),
    [
        ({"do_resize": False}, (32, 48)),
        ({"do_resize": False}, (100, 76)),
        ({"do_pad": False}, (40, 64)),
        ({"do_pad": False, "do_resize": False}, (32, 48)),
        ({"do_pad": False, "size": {"shortest_edge": 64, "longest_edge": 160}}, (64, 160)),
        ({"size": {"shortest_edge": 64, "longest_edge": 128}}, (128, 96)),
        ({"size": {"height": 64, "width": 96}}, (96, 48)),
    ],
)


@CALLS
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("state_layouts", [True, False])
def test_settings_of_one_call(processor_class, task, call, size, state_layouts):
    """Results are right by the outputs' `image_layouts`, and without them by the same settings for post-processing."""
    processor, (image, truth) = processor_class(size=SQUARE, do_normalize=False), scene(*size)
    outputs = seen_by_a_perfect_model(processor(image, return_tensors="pt", **call), state_layouts)
    found = post_process(processor, task, outputs, target_sizes=[size], **({} if state_layouts else call))[0]
    assert (found == torch.from_numpy(truth)).float().mean() > 0.97
    if not state_layouts:  # by the stored settings it comes out wrong
        stored = post_process(processor, task, outputs, target_sizes=[size])[0]
        assert (stored == torch.from_numpy(truth)).float().mean() < 0.95


@pytest.mark.parametrize("call", [{}, {"do_resize": False}, {"do_resize": False, "do_pad": False}])
@pytest.mark.parametrize("task", ["panoptic", "semantic"])
def test_windows_of_one_call(task, call):
    """A processor of whole images splits one of them, at another size than it stores."""
    processor, (image, truth) = EomtImageProcessor(size=SQUARE, do_normalize=False), scene(32, 100)
    batch = processor(image, return_tensors="pt", size={"shortest_edge": 32}, do_split_image=True, **call)
    assert len(batch["pixel_values"]) == 4
    found = post_process(processor, task, seen_by_a_perfect_model(batch), target_sizes=[(32, 100)])[0]
    assert (found == torch.from_numpy(truth)).float().mean() > 0.97


@pytest.mark.parametrize("task", TASKS)
def test_without_target_sizes_results_have_the_size_of_the_input(task):
    processor = EomtImageProcessor(size=SQUARE, do_normalize=False)
    batch = processor(scene(100, 76)[0], return_tensors="pt", do_resize=False)
    found = post_process(processor, task, seen_by_a_perfect_model(batch))
    assert [result.shape for result in found] == [(100, 76)]


@pytest.mark.parametrize("call", [dict(do_resize=False), dict(do_pad=False)])
@pytest.mark.parametrize("task", TASKS)
def test_without_layouts_and_target_sizes_the_size_of_the_input_must_be_known(task, call):
    processor = EomtImageProcessor(size=SQUARE)
    outputs = seen_by_a_perfect_model(processor(scene(20, 40)[0], return_tensors="pt"))
    outputs.image_layouts = None
    with pytest.raises(ValueError, match="don't say how large the model's input was"):
        post_process(processor, task, outputs, **call)


@pytest.mark.parametrize(
    "layouts",
    [torch.ones(1, 4), torch.ones(2, 3), [(1, 2, 3, 4)] * 3, [(1, 2, 3, 4), (1, 2)], [], [(0, 2, 3, 4)] * 2, [(1.5, 2, 3, 4)] * 2],
)
@pytest.mark.parametrize("task", TASKS)
def test_layouts_of_another_batch(task, layouts):
    processor = EomtImageProcessor(size=SQUARE)
    outputs = seen_by_a_perfect_model(processor([scene(20, 40)[0]] * 2, return_tensors="pt"))
    outputs.image_layouts = layouts
    with pytest.raises(ValueError, match=r"image_layouts is \[.*\] for 2 model inputs, but must have a row"):
        post_process(processor, task, outputs, target_sizes=[(20, 40)] * 2)


# through models


@torch.no_grad()
@CALLS
def test_the_model_passes_layouts_on(tiny_model, call, size):
    processor, model = EomtImageProcessor(size=SQUARE), tiny_model(patch_size=4)
    batch = processor([scene(*size)[0]] * 2, return_tensors="pt", **call)
    outputs = model(**batch)
    assert torch.equal(outputs.image_layouts, batch["image_layouts"])
    without = model(pixel_values=batch["pixel_values"])
    assert without.image_layouts is None
    sizes = [size, (2 * size[0], 2 * size[1])]
    given = post_process(processor, "semantic", outputs, target_sizes=sizes)
    same = post_process(processor, "semantic", outputs, target_sizes=[size] * 2)
    said = post_process(processor, "semantic", without, target_sizes=[size] * 2, **call)
    assert given[1].shape == sizes[1]  # another size is scaled to, not taken for the image's
    assert all(torch.equal(a, b) for a, b in zip(same, said, strict=True))


@torch.no_grad()
def test_stock_takes_our_processors_output(processor_class, tiny_model):
    model = tiny_model()
    stock = transformers.EomtForUniversalSegmentation(transformers.EomtConfig(**model.config.to_dict())).eval()
    stock.load_state_dict(model.state_dict())
    for settings in ({"size": SQUARE}, {"size": {"shortest_edge": 64}, "do_split_image": True}):
        processor = processor_class(**settings)
        image, truth = scene(48, 120)
        batch = processor(image, truth, return_tensors="pt")
        outputs, theirs = model(**batch), stock(**batch)
        found = [post_process(processor, "semantic", one, target_sizes=[(48, 120)])[0] for one in (outputs, theirs)]
        assert found[0].unique().numel() > 1 and (found[0] == found[1]).float().mean() > 0.999


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("task", TASKS)
def test_pipeline_passes_layouts_on(tiny_model, monkeypatch, task, batch_size):
    processor, rows = EomtImageProcessor(size=SQUARE), []
    segmenter = pipeline("image-segmentation", model=tiny_model(), image_processor=processor)
    name = f"post_process_{task}_segmentation"
    method = getattr(processor, name)

    def spy(outputs, **call):
        rows.append(outputs.image_layouts.tolist())
        return method(outputs, **call)

    monkeypatch.setattr(processor, name, spy)
    images = [Image.fromarray(scene(*size)[0]) for size in ((32, 64), (48, 32), (90, 30))]
    segmenter(images, subtask=task, batch_size=batch_size, threshold=0.0)
    assert rows == [[[32, 64, 64, 64]], [[64, 43, 64, 64]], [[64, 21, 64, 64]]]
