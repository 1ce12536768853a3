"""A model as a graph of ONNX Runtime, OpenVINO, ExecuTorch or PyTorch, by transformers' exporters.

Shapes: B images, H, W pixels.
"""

import contextlib
import copy
import io
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.exporters.base import ExportedModel
from transformers.exporters.configs import DynamoConfig, ExecutorchConfig, ExportFormat, OnnxConfig, OpenVINOConfig

from eomt.exported import COMPONENT, FIXED, MASKED, PACKAGES, SINGLE
from eomt.mask_classifier import MaskClassifier


class Format(NamedTuple):
    """How a graph is made.

    Args:
        exporter: class of transformers, by its module, which loads the packages of its format.
        config: its configuration.
        suffix: of the graph's file.
        single: whether the graph takes one image of one size a call. ExecuTorch's XNNPACK fails at others.
    """

    exporter: str
    config: type[DynamoConfig]
    suffix: str
    single: bool = False


FORMATS = {
    "onnx": Format("exporter_onnx.OnnxExporter", OnnxConfig, ".onnx"),
    "openvino": Format("exporter_openvino.OpenVINOExporter", OpenVINOConfig, ".xml"),
    "executorch": Format("exporter_executorch.ExecutorchExporter", ExecutorchConfig, ".pte", single=True),
    "pt2": Format("exporter_dynamo.DynamoExporter", DynamoConfig, ".pt2"),
}


def make_graph(model: MaskClassifier, to: str, size: tuple[int, int]) -> ExportedModel:
    """Traces a model. The graph takes any number of images of any size that the model takes, unless format or model fix them.

    Args:
        model: in evaluation, in float32.
        to: one of `FORMATS`.
        size: `(H, W)` of the images where the size is fixed.

    Raises:
        ImportError: a package is not installed.
    """
    target = FORMATS[to]
    exporter = _exporter(to)
    fixed = has_fixed_size(model, to)
    if fixed:  # positions of this size, so that the graph doesn't resample them, which not every runtime can
        model = copy.deepcopy(model)
        model.resize_position_embeddings(size)
    else:  # any size does; a small one is traced faster
        size = tuple(count * side for count, side in zip((2, 3), model.config.size_multiples_hw, strict=True))
    dynamic = torch.export.Dim.DYNAMIC
    dims = {} if target.single else {0: dynamic} if fixed else {0: dynamic, 2: dynamic, 3: dynamic}
    inputs = torch.randn(1 if target.single else 2, 3, *size)
    shapes = {"dynamic": True, "dynamic_shapes": {"pixel_values": dims}} if dims else {}
    with contextlib.redirect_stdout(io.StringIO()):  # the exporters print their steps
        exported = exporter.export(model, {"pixel_values": inputs}, target.config(**shapes))
    forget_sources(exported.program, to)
    facts = {
        FIXED: fixed,
        SINGLE: target.single,
        MASKED: any(model.is_masked(block) for block in range(len(model.attn_mask_probs))),
    }
    exported.components[COMPONENT].metadata.export_config |= facts
    return exported


def forget_sources(program: Any, to: str) -> None:
    """Drops the lines of source that each operation came from: paths of this machine, and most of a small graph's file."""
    if to == "onnx":
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass

        ClearMetadataAndDocStringPass()(program)
    elif to == "pt2":
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)


def has_fixed_size(model: MaskClassifier, to: str) -> bool:
    """Whether a graph takes images of one size alone."""
    return FORMATS[to].single or not model.config.exports_any_size


def _exporter(to: str) -> Any:
    module, name = FORMATS[to].exporter.split(".")
    try:
        return getattr(import_module(f"transformers.exporters.{module}"), name)()
    except (ImportError, NameError) as error:  # some of them import at their head what may be missing
        packages = PACKAGES[FORMATS[to].suffix]
        raise ImportError(f"to={to!r} needs {packages}: pip install {packages} ({error})") from error


def quantize_graph(exported: ExportedModel, to: str) -> None:
    """Gives a graph of ONNX or OpenVINO 8-bit weights, in place.

    ONNX Runtime computes the matrix products in 8 bits, too: activations are quantized when it runs, weights by output channel.
    OpenVINO computes with the weights as floats.

    Raises:
        ImportError: a package is not installed.
    """
    component = exported.components[COMPONENT]
    inputs: dict[str, Tensor] = {}  # for calibration, which neither needs
    if to == "onnx":
        from transformers.exporters.quantizers.quantizer_onnxruntime import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

        quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig(op_types_to_quantize=["MatMul", "Gemm"], per_channel=True))
        quantizer.validate_environment(ExportFormat.ONNX)
        component.program = quantizer.quantize(component.program, inputs, ExportFormat.ONNX)
    else:
        from transformers.exporters.quantizers.quantizer_nncf import NNCFOpenVINOQuantizer, NNCFWeightCompressionConfig

        quantizer = NNCFOpenVINOQuantizer(NNCFWeightCompressionConfig())
        quantizer.validate_environment(ExportFormat.OPENVINO)
        with contextlib.redirect_stdout(io.StringIO()):  # nncf prints tables
            component.program = quantizer.quantize(component.program, inputs, ExportFormat.OPENVINO)
    component.metadata.export_config["int8"] = True
