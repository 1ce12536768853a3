import pytest
import torch


def run(model, segments, **options) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Loss, gradients, and the most bytes that were kept for the backward pass at any one time before it began."""
    id_maps, segment_ids, class_labels, _ = segments([3, 1])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=torch.tensor([1, 2]))
    owned = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(0)
    pixel_values = torch.randn(2, 3, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = model(pixel_values, **labels, **options)
        bytes_kept = sum(kept.values())
    outputs.loss.backward()
    return outputs.loss.detach(), [parameter.grad for parameter in model.parameters()], bytes_kept


@pytest.mark.every_encoder
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("drop_path_rate", [0.0, 0.3])
def test_equal_gradients_for_fewer_bytes(tiny_model, segments, use_reentrant, drop_path_rate):
    settings = dict(probs=[0.7, 0.2], num_hidden_layers=8, drop_path_rate=drop_path_rate)
    loss, gradients, bytes_kept = run(tiny_model(**settings).train(), segments)
    model = tiny_model(**settings).train()
    model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
    other_loss, other_gradients, other_bytes = run(model, segments)
    torch.testing.assert_close(other_loss, loss, atol=0, rtol=0)
    torch.testing.assert_close(other_gradients, gradients, atol=1e-6, rtol=1e-5)
    assert other_bytes < 0.6 * bytes_kept


@pytest.mark.every_encoder
def test_hidden_states_are_recorded_once(tiny_model, segments):
    model = tiny_model().train()
    model.activation_checkpointing_enable()
    wanted = dict(output_hidden_states=True, sample_keys=torch.tensor([1]))
    expected = tiny_model().train()(torch.ones(1, 3, 64, 64), **wanted).hidden_states
    recorded = model(torch.ones(1, 3, 64, 64), **wanted).hidden_states
    torch.testing.assert_close(recorded, expected, atol=0, rtol=0)


def test_it_can_be_switched_off_again(tiny_model, segments):
    model = tiny_model(num_hidden_layers=8).train()
    model.activation_checkpointing_enable()
    model.activation_checkpointing_disable()
    assert run(model, segments)[2] == run(tiny_model(num_hidden_layers=8).train(), segments)[2]
