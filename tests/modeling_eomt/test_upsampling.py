"""The upsampling layer against `nn.ConvTranspose2d`, in values and gradients."""

import pytest
import torch
from torch import nn

from eomt.upsampling import Upsampling


@pytest.fixture
def layers():
    torch.manual_seed(0)
    ours, convolution = Upsampling(6), nn.ConvTranspose2d(6, 6, kernel_size=2, stride=2)
    convolution.load_state_dict(ours.state_dict())
    return ours, convolution


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_a_transposed_convolution(layers, memory_format):
    features, gradient = torch.randn(2, 6, 3, 5).to(memory_format=memory_format), torch.randn(2, 6, 6, 10)
    results = []
    for layer in layers:
        inputs = features.clone().requires_grad_()
        outputs = layer(inputs)
        outputs.backward(gradient)
        results.append([outputs, inputs.grad, layer.weight.grad, layer.bias.grad])
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-6)
    with torch.no_grad():
        assert torch.equal(layers[0](features), layers[1](features))


def test_gradients_are_those_of_finite_differences():
    layer = Upsampling(2).double()
    inputs = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda features, *_: layer(features), (inputs, layer.weight, layer.bias))


def test_frozen_weights_get_no_gradient_and_pass_one_on(layers):
    layer, inputs = layers[0].requires_grad_(False), torch.randn(1, 6, 2, 2, requires_grad=True)
    layer(inputs).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is None
    torch.testing.assert_close(inputs.grad[0, :, 0, 0], layer.weight.sum((1, 2, 3)))


def test_autocast_is_that_of_a_transposed_convolution(layers):
    features = torch.randn(2, 6, 3, 5)
    gradients = []
    for layer in layers:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = layer(features)
        assert outputs.dtype == torch.bfloat16
        outputs.float().square().sum().backward()
        gradients.append(layer.weight.grad)
    assert gradients[0].dtype == torch.float32
    torch.testing.assert_close(*gradients, atol=0.02 * gradients[1].abs().max().item(), rtol=0)
