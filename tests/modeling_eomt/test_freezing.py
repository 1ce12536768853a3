"""Frozen blocks get no gradient, and none is computed for them."""

import pytest
import torch


def backward(model, segments):
    """Gradients by name, and the bytes that the forward pass kept for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    id_maps, segment_ids, class_labels, _ = segments([3, 1])
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model(torch.ones(2, 3, 64, 64), id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
    outputs.loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}, sum(kept.values())


@pytest.mark.every_encoder
@pytest.mark.parametrize(("count", "blocks"), [(1, 1), (2, 2), (-1, 2), (4, 4)])
def test_what_is_below_gets_no_gradient_and_the_rest_does(tiny_model, segments, count, blocks):
    model = tiny_model(probs=0.5).train()
    model.freeze_encoder(count)
    gradients, _ = backward(model, segments)
    frozen = ("embeddings.", *(f"layers.{index}." for index in range(blocks)))
    assert {name for name, gradient in gradients.items() if gradient is None} == {n for n in gradients if n.startswith(frozen)}


@pytest.mark.every_encoder
@pytest.mark.parametrize("checkpointing", [False, True])
def test_no_backward_pass_reaches_them(tiny_model, segments, checkpointing, monkeypatch):
    model = tiny_model(probs=0.5, num_hidden_layers=8).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    model.freeze_encoder(-1)
    wanting = []
    for index, layer in enumerate(model.layers):
        layer.register_forward_hook(lambda _, __, output, index=index: wanting.append((index, output.requires_grad)))
    backward(model, segments)
    assert [wants for _, wants in wanting[:8]] == [False] * 6 + [True] * 2
    assert {index for index, _ in wanting[8:]} <= {6, 7}  # what checkpointing runs again


@pytest.mark.every_encoder
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_checkpointed_blocks_above_frozen_ones_get_the_gradients_they_get_without(tiny_model, segments, use_reentrant, count):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(probs=0.0, num_hidden_layers=8).train()
        model.freeze_encoder(count)
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
        torch.manual_seed(0)
        gradients.append(backward(model, segments)[0])
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-5)
    assert all(gradients[1][f"layers.{block}.norm1.weight"] is not None for block in range(count, 8))


def test_less_is_kept_for_the_backward_pass(tiny_model, segments):
    whole = backward(tiny_model(num_hidden_layers=8).train(), segments)[1]
    model = tiny_model(num_hidden_layers=8).train()
    model.freeze_encoder(-1)
    assert backward(model, segments)[1] < 0.6 * whole


def test_nothing_is_frozen_by_default_and_too_many_are_refused(tiny_model):
    model = tiny_model()
    model.freeze_encoder(0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    for count in (5, -2):
        with pytest.raises(ValueError, match=rf"frozen_blocks={count} must be in -1\.\.4.*join: 2"):
            model.freeze_encoder(count)
