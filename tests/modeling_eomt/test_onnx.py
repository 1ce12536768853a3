"""ONNX: one file for any batch and image size, equal to eager."""

import numpy as np
import pytest
import torch


@pytest.mark.every_encoder
@pytest.mark.parametrize("traced", [(64, 64), (96, 32)])
@torch.no_grad()
def test_any_size_whatever_size_it_was_exported_at(tiny_model, tmp_path, traced):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `test` installs it")
    model, dynamic = tiny_model(), torch.export.Dim.DYNAMIC
    inputs, shapes = {"pixel_values": torch.randn(2, 3, *traced)}, {"pixel_values": {0: dynamic, 2: dynamic, 3: dynamic}}
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (), str(path), kwargs=inputs, dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = onnxruntime.InferenceSession(str(path))
    with pytest.raises(Exception, match="cannot be reshaped"):  # off the patch grid, where a convolution drops pixels
        session.run(None, {"pixel_values": np.zeros((1, 3, 72, 64), np.float32)})
    for size in ((64, 64), (32, 128), (96, 128)):
        pixels = torch.randn(1, 3, *size)
        expected = model(pixel_values=pixels)
        results = session.run(None, {"pixel_values": pixels.numpy()})
        for result, name in zip(results, ("class_queries_logits", "masks_queries_logits"), strict=False):
            np.testing.assert_allclose(result, expected[name].numpy(), atol=1e-4, rtol=0)
