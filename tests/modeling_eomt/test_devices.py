"""Tensors of a device that isn't there: each operation on tensors of two devices fails, as on a GPU."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from eomt.criterion import matcher


@pytest.fixture
def on_device(tiny_model):
    """`on_device(probs, train)`: a model whose tensors claim to be on a GPU, and the mode in which they compute shapes alone."""

    def build(probs: float, train: bool = False) -> tuple[nn.Module, FakeTensorMode]:
        model, mode = tiny_model(probs=probs).train(train), FakeTensorMode()
        for module in model.modules():
            with mode:
                for name, parameter in module.named_parameters(recurse=False):
                    setattr(module, name, nn.Parameter(mode.from_tensor(parameter).detach().to("cuda")))
                for name, buffer in module.named_buffers(recurse=False):
                    setattr(module, name, mode.from_tensor(buffer).to("cuda"))
        model.refresh_masked_blocks = lambda: None  # the values of the buffer can't be read any more
        return model, mode

    return build


@pytest.mark.every_encoder
@pytest.mark.parametrize(("probs", "train"), [(0.0, False), (1.0, False), (0.5, True)], ids=["unmasked", "masked", "training"])
def test_forward(on_device, probs, train):
    model, mode = on_device(probs, train)
    with mode:
        outputs = model(pixel_values=torch.randn(2, 3, 64, 96, device="cuda"))
    assert outputs.masks_queries_logits.device.type == outputs.class_queries_logits.device.type == "cuda"


@pytest.mark.parametrize("form", ["masks", "id maps"])
def test_matching(on_device, monkeypatch, form):
    """Up to the assignment, which is computed on the host."""

    class Assigned(Exception):
        pass

    def assign(costs, counts):
        assert costs.device.type == "cpu" and costs.shape == (2, 3, 8, 2)
        raise Assigned

    monkeypatch.setattr(matcher, "assign", assign)
    model, mode = on_device(0.5, train=True)
    with mode, pytest.raises(Assigned):
        labels = {"class_labels": [torch.zeros(2, dtype=torch.int64, device="cuda")] * 2}
        if form == "masks":
            labels["mask_labels"] = [torch.zeros(2, 64, 64, device="cuda")] * 2
        else:
            labels["id_maps"] = torch.zeros(2, 64, 64, dtype=torch.int32, device="cuda")
            labels["segment_ids"] = [torch.arange(2, device="cuda")] * 2
        model(pixel_values=torch.randn(2, 3, 64, 64, device="cuda"), **labels)


def test_a_mixture_of_devices_fails(on_device):
    model, mode = on_device(0.0)
    with mode, pytest.raises(RuntimeError, match="(?i)device"):
        model(pixel_values=torch.randn(1, 3, 64, 64))
