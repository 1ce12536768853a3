"""Rows 0 to 3 of Table 1 are one graph each: `torch.compile(fullgraph=True)`, `torch.export` and ONNX, equal to eager."""

import numpy as np
import pytest
import torch

WITHOUT_PIXEL_DECODER = (2, 3)
ROWS = range(4)
ON_EVERY_ENCODER = [*(("eomt_ladder", row) for row in ROWS), ("eomt_dinov3_ladder", 0), ("eomt_eva02_ladder", 0)]
SIZES = ((64, 64), (64, 128), (96, 128), (128, 64))
DYNAMIC = torch.export.Dim.DYNAMIC


@pytest.fixture
def model_type() -> str:
    return "eomt_ladder"


@pytest.fixture(autouse=True)
def forget_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def assert_equal(outputs, expected) -> None:
    torch.testing.assert_close(outputs.masks_queries_logits, expected.masks_queries_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.class_queries_logits, expected.class_queries_logits, atol=1e-5, rtol=0)


def exported(model: torch.nn.Module, dims: dict, batch: int = 2) -> torch.nn.Module:
    """A model exported at 64 x 96 pixels for all values of some dimensions of its images."""
    pixel_values = torch.randn(batch, 3, 64, 96)
    return torch.export.export(model, (), {"pixel_values": pixel_values}, dynamic_shapes={"pixel_values": dims}).module()


@pytest.mark.parametrize(
    ("model_type", "row", "probs"), [*((*network, 1.0) for network in ON_EVERY_ENCODER), ("eomt_ladder", 3, 0.0)]
)
@torch.no_grad()
def test_one_graph_equal_to_eager(tiny_model, row, probs):
    model = tiny_model(probs=probs, row=row)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for shape in ((2, 3, 64, 64), (1, 3, 32, 96)):
        pixel_values = torch.randn(shape)
        assert_equal(compiled(pixel_values=pixel_values), model(pixel_values))


@pytest.mark.parametrize(("row", "backend"), [(0, "aot_eager"), pytest.param(3, "inductor", marks=pytest.mark.slow)])
@torch.no_grad()
def test_through_other_backends(tiny_model, row, backend):
    model, pixel_values = tiny_model(probs=1.0, row=row), torch.randn(2, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    expected = model(pixel_values).masks_queries_logits
    torch.testing.assert_close(compiled(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_compiled_row_follows_the_annealing(tiny_model):
    model, pixel_values = tiny_model(probs=1.0, row=3), torch.randn(1, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for probs in ([1, 1, 1], [0.4, 1, 1], [0, 0, 0]):
        model.set_attn_mask_probs(probs)
        assert_equal(compiled(pixel_values=pixel_values), model(pixel_values))


def test_training_runs_with_masks_on(tiny_model, segments):
    model = tiny_model(probs=[0.7, 0.2, 1.0], row=3).train()
    compiled = torch.compile(model, backend="aot_eager")
    pixel_values = torch.randn(2, 3, 64, 64)
    id_maps, segment_ids, class_labels, _ = segments([2, 1])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=torch.tensor([1, 2]))
    results = []
    for run in (compiled, model):
        torch.manual_seed(0)
        model.zero_grad()
        loss = run(pixel_values=pixel_values, **labels).loss
        loss.backward()
        results.append((loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("model_type", "row"), [("eomt_ladder", 0), ("eomt_ladder", 3), ("eomt_eva02_ladder", 0)])
@torch.no_grad()
def test_export_for_any_batch_size(tiny_model, row):
    model = tiny_model(probs=1.0, row=row)
    program = exported(model, {0: torch.export.Dim("batch", min=1, max=16)})
    for batch in (1, 5):
        pixel_values = torch.randn(batch, 3, 64, 96)
        assert_equal(program(pixel_values=pixel_values), model(pixel_values))


@pytest.mark.parametrize("row", [0, 2])
@torch.no_grad()
def test_export_at_another_size_than_the_stored_grids(tiny_model, row):
    model = tiny_model(probs=1.0, row=row)
    program, pixel_values = exported(model, {}), torch.randn(2, 3, 64, 96)
    assert_equal(program(pixel_values=pixel_values), model(pixel_values))


@pytest.mark.parametrize("row", WITHOUT_PIXEL_DECODER)
@torch.no_grad()
def test_export_for_any_image_size(tiny_model, row):
    model = tiny_model(probs=1.0, row=row)
    program = exported(model, {2: DYNAMIC, 3: DYNAMIC}, batch=1)
    for size in SIZES:
        pixel_values = torch.randn(1, 3, *size)
        assert_equal(program(pixel_values=pixel_values), model(pixel_values))


@pytest.mark.parametrize("row", WITHOUT_PIXEL_DECODER)
@torch.no_grad()
def test_export_for_any_size_of_images_and_batch_wants_two_images(tiny_model, row):
    """A limit of `torch.nn.MultiheadAttention`, which flattens (h * w, B, W): this is another graph for B = 1."""
    model = tiny_model(row=row)
    program = exported(model, {0: DYNAMIC, 2: DYNAMIC, 3: DYNAMIC})
    for size in SIZES:
        pixel_values = torch.randn(3, 3, *size)
        assert_equal(program(pixel_values=pixel_values), model(pixel_values))
    with pytest.raises(AssertionError, match=r"Guard failed: .* % \(pixel_values.size\(\)\[0\] \* .* != 0"):
        program(pixel_values=torch.randn(1, 3, 64, 64))


@torch.no_grad()
def test_export_of_a_pixel_decoder_is_for_one_image_size(tiny_model):
    """A limit of transformers' pixel decoder: it makes a tensor of its maps' sizes, in which an export fixes them."""
    program = exported(tiny_model(row=1), {2: DYNAMIC, 3: DYNAMIC}, batch=1)
    with pytest.raises(AssertionError, match=r"Guard failed: .*pixel_values.size\(\)\[3\].* == 3"):
        program(pixel_values=torch.randn(1, 3, 64, 128))


@pytest.mark.parametrize("row", WITHOUT_PIXEL_DECODER)
@torch.no_grad()
def test_onnx_for_any_size_of_images_and_batch(tiny_model, tmp_path, row):
    """Its graph has no such guard."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `test` installs it")
    model, path = tiny_model(probs=1.0, row=row), tmp_path / "model.onnx"
    inputs, shapes = {"pixel_values": torch.randn(2, 3, 64, 96)}, {"pixel_values": {0: DYNAMIC, 2: DYNAMIC, 3: DYNAMIC}}
    torch.onnx.export(model, (), str(path), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(str(path))
    for batch, size in ((1, (64, 64)), (3, (96, 128))):
        pixels = torch.randn(batch, 3, *size)
        expected = model(pixel_values=pixels)
        results = session.run(None, {"pixel_values": pixels.numpy()})
        for result, name in zip(results, ("class_queries_logits", "masks_queries_logits"), strict=False):
            np.testing.assert_allclose(result, expected[name].numpy(), atol=1e-4, rtol=0)
