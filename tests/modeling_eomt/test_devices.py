"""On tensors of a device that isn't there: each operation on tensors of two devices fails, as on a GPU, and results are the CPU's.

The backward pass is not among them: torch's engine wants the device. It takes its devices from the forward pass.
"""

import pytest
import torch
from pretended_device import DEVICE, move, pretend, pretended_device

from eomt.token_merging import ALGM, MPM, merge_tokens

CLOSE = dict(atol=1e-5, rtol=1e-5)  # attention's plain formula rounds differently


@pytest.fixture
def on_both(tiny_model):
    """`on_both(call, inputs, probs, train)`: `call(model, inputs)` on the CPU, and on the device with tensors moved there."""

    def run(call, inputs: dict, probs: float = 0.0, train: bool = False):
        model = tiny_model(probs=probs).train(train)
        with torch.no_grad():
            want = call(model, inputs)
            with pretended_device():
                got = call(move(model), {name: moved(value) for name, value in inputs.items()})
        return got, want

    return run


def moved(value):
    return [pretend(one) for one in value] if isinstance(value, list) else pretend(value)


def forward(model, inputs):
    return model(**inputs)


def assert_same(got, want, names=("masks_queries_logits", "class_queries_logits")):
    for name in names:
        assert got[name].device == DEVICE
        torch.testing.assert_close(got[name].held, want[name], **CLOSE)


@pytest.mark.every_encoder
@pytest.mark.parametrize("probs", [0.0, 1.0], ids=["unmasked", "masked"])
def test_forward(on_both, probs):
    assert_same(*on_both(forward, {"pixel_values": torch.randn(2, 3, 64, 96)}, probs))


@pytest.mark.every_encoder
@pytest.mark.parametrize("form", ["masks", "id maps"])
def test_loss(on_both, form):
    """Matching, and the losses of each block, with keys and without a segment in one image."""
    classes = [torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)]
    inputs = {"pixel_values": torch.randn(2, 3, 64, 64), "class_labels": classes, "sample_keys": torch.tensor([3, 4])}
    if form == "masks":
        inputs["mask_labels"] = [(torch.rand(len(one), 64, 64) > 0.5).float() for one in classes]
    else:
        inputs["id_maps"] = torch.randint(0, 2, (2, 64, 64), dtype=torch.int32)
        inputs["segment_ids"] = [torch.arange(len(one)) for one in classes]
    got, want = on_both(forward, inputs, probs=0.5, train=True)
    assert_same(got, want, names=("loss",))


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("method", [ALGM(threshold=0.3, local_block=1, global_block=2), MPM((1, 2))], ids=["ALGM", "MPM"])
def test_token_merging(on_both, method, per_image):
    def merged(model, inputs):
        merge_tokens(model, method, per_image=per_image)
        return model(**inputs)

    coarse = torch.randn(2, 3, 2, 3)  # smooth images have patches that are alike
    smooth = torch.nn.functional.interpolate(coarse, size=(64, 96), mode="bilinear")
    assert_same(*on_both(merged, {"pixel_values": smooth}))


def test_a_mixture_of_devices_fails(on_both, tiny_model):
    model = tiny_model()
    with pretended_device(), pytest.raises(RuntimeError, match="same device"), torch.no_grad():
        move(model)(pixel_values=torch.randn(1, 3, 64, 64))
