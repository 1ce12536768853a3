"""What is computed again, and what isn't."""

import torch
from torch import nn

from eomt.recomputing import recomputed


def test_a_last_product_is_not_repeated():
    calls = {"activation": 0, "product": 0}
    linear = nn.Linear(4, 4)
    linear.register_forward_hook(lambda *_: calls.update(product=calls["product"] + 1))

    def function(inputs):
        calls["activation"] += 1
        return linear(inputs.tanh())

    inputs = torch.randn(2, 4, requires_grad=True)
    outputs = recomputed(function, inputs)
    expected = torch.autograd.grad(linear(inputs.tanh()).sum(), (inputs, linear.weight))
    assert calls == {"activation": 1, "product": 2}
    gradients = torch.autograd.grad(outputs.sum(), (inputs, linear.weight))
    assert calls == {"activation": 2, "product": 2}
    torch.testing.assert_close(gradients, expected, atol=0, rtol=0)


def test_nothing_is_kept_of_the_insides():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda tensor: tensor):
        recomputed(lambda inputs: inputs.repeat(3).tanh().exp(), torch.randn(5, requires_grad=True))
    assert (15,) not in kept


def test_without_gradients_the_function_runs_as_it_is():
    with torch.no_grad():
        assert recomputed(torch.tanh, torch.zeros(2)).tolist() == [0, 0]
