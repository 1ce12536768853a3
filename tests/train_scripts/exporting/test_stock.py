"""transformers' own EoMT can't be exported. Where a test here fails, a release can, and docs and exports are to be revised."""

import importlib

import pytest
import torch
from transformers.exporters.configs import DynamoConfig, OnnxConfig, OpenVINOConfig
from transformers.models.eomt import EomtConfig, EomtForUniversalSegmentation


@pytest.mark.parametrize(
    ("package", "module", "exporter", "config"),
    [
        ("torch", "exporter_dynamo", "DynamoExporter", DynamoConfig),
        ("onnxscript", "exporter_onnx", "OnnxExporter", OnnxConfig),
        ("openvino", "exporter_openvino", "OpenVINOExporter", OpenVINOConfig),
    ],
)
def test_transformers_own_model_fails_in_every_exporter(package, module, exporter, config):
    pytest.importorskip(package, reason="not installed; an extra has it")
    exporter = getattr(importlib.import_module(f"transformers.exporters.{module}"), exporter)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=9, image_size=64)
    model = EomtForUniversalSegmentation(EomtConfig(**sizes)).eval()
    model.attn_mask_probs.zero_()
    with pytest.raises(Exception, match="Could not guard on data-dependent expression"):
        exporter().export(model, {"pixel_values": torch.randn(1, 3, 64, 64)}, config())
