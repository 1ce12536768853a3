"""The annealed model is one graph: `torch.compile(fullgraph=True)` and `torch.export`, equal to eager."""

import pytest
import torch


@pytest.fixture(autouse=True)
def forget_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.every_encoder
@pytest.mark.parametrize("probs", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (1, 3, 32, 96)])
@torch.no_grad()
def test_one_graph_equal_to_eager(tiny_model, probs, shape):
    model, pixel_values = tiny_model(probs=probs), torch.randn(shape)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    outputs, expected = compiled(pixel_values=pixel_values), model(pixel_values)
    torch.testing.assert_close(outputs.masks_queries_logits, expected.masks_queries_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.class_queries_logits, expected.class_queries_logits, atol=1e-5, rtol=0)


@pytest.mark.every_encoder
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_through_other_backends(tiny_model, backend, implementation):
    model, pixel_values = tiny_model(attn_implementation=implementation), torch.randn(2, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    expected = model(pixel_values).masks_queries_logits
    torch.testing.assert_close(compiled(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_compiled_model_follows_the_annealing(tiny_model):
    model, pixel_values = tiny_model(probs=1.0), torch.randn(1, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for probs in ([1, 1], [0.4, 1], [0, 0]):
        model.set_attn_mask_probs(probs)
        expected = model(pixel_values).masks_queries_logits
        torch.testing.assert_close(compiled(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-5, rtol=0)


@pytest.mark.every_encoder
@pytest.mark.parametrize("keyed", [False, True])
def test_training_runs_with_masks_on(tiny_model, segments, keyed):
    model = tiny_model(probs=[0.7, 0.2]).train()
    compiled = torch.compile(model, backend="aot_eager")
    pixel_values = torch.randn(2, 3, 64, 64)
    keys = torch.tensor([1, 2]) if keyed else None
    for counts in ([2, 1], [3, 0]):
        id_maps, segment_ids, class_labels, _ = segments(counts)
        labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=keys)
        results = []
        for run in (compiled, model):
            torch.manual_seed(0)
            model.zero_grad()
            loss = run(pixel_values=pixel_values, **labels).loss
            loss.backward()
            results.append((loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
        torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


@pytest.mark.every_encoder
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_export_equals_eager(tiny_model, implementation):
    model = tiny_model(attn_implementation=implementation)
    for shape in ((1, 3, 64, 64), (2, 3, 32, 96)):
        pixel_values = torch.randn(shape)
        exported = torch.export.export(model, (), {"pixel_values": pixel_values}).module()
        outputs, expected = exported(pixel_values=pixel_values), model(pixel_values)
        torch.testing.assert_close(outputs.masks_queries_logits, expected.masks_queries_logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(outputs.class_queries_logits, expected.class_queries_logits, atol=1e-5, rtol=0)


@pytest.mark.every_encoder
@torch.no_grad()
def test_export_for_any_batch_size(tiny_model):
    model = tiny_model()
    shapes = {"pixel_values": {0: torch.export.Dim("batch", min=1, max=16)}}
    exported = torch.export.export(model, (), {"pixel_values": torch.randn(2, 3, 64, 64)}, dynamic_shapes=shapes).module()
    for batch in (1, 5):
        pixel_values = torch.randn(batch, 3, 64, 64)
        expected = model(pixel_values).masks_queries_logits
        torch.testing.assert_close(exported(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-5, rtol=0)


@pytest.mark.every_encoder
@pytest.mark.parametrize("traced", [(64, 64), (32, 96)])
@torch.no_grad()
def test_export_for_any_image_size_whatever_size_it_was_traced_at(tiny_model, traced):
    """The stored grid is 64 x 64: traced there, positions must still be resampled at other sizes."""
    model, dynamic = tiny_model(), torch.export.Dim.DYNAMIC
    shapes = {"pixel_values": {0: dynamic, 2: dynamic, 3: dynamic}}
    exported = torch.export.export(model, (), {"pixel_values": torch.randn(2, 3, *traced)}, dynamic_shapes=shapes).module()
    for size in ((64, 64), (32, 128), (96, 128), (64, 32)):
        pixel_values = torch.randn(1, 3, *size)
        expected = model(pixel_values).masks_queries_logits
        torch.testing.assert_close(exported(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-5, rtol=0)
