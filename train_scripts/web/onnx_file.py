"""A model as one ONNX file for the page in the browser: one image of one size, and the two outputs that segments are made of."""

import contextlib
import io
import tempfile
from pathlib import Path

import torch

from eomt.image_processing.sizes import Size
from eomt.mask_classifier import MaskClassifier

OUTPUTS = ("class_queries_logits", "masks_queries_logits")
QUANTIZED = ("MatMul", "Gemm")  # nearly all weights; convolutions of 8 bits are slower in the browser


def write_onnx(model: MaskClassifier, size: Size, path: str | Path, int8: bool = False) -> None:
    """Writes a model that takes `pixel_values` (1, 3, height, width) as one ONNX file.

    Args:
        model: in evaluation mode.
        size: height and width of its input, multiples of the patch size.
        path: of the file.
        int8: whether weights become 8-bit integers, with a scale a channel, and activations are quantised as they come.

    Raises:
        ImportError: a package of the extra `web` is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("a model for the browser needs ONNX; pip install 'eomt-transformers[web]'") from error

    with tempfile.TemporaryDirectory() as folder:
        graph = onnx.load(_export(model, size, Path(folder)))
        kept = {output.name: output for output in graph.graph.output}
        del graph.graph.output[:]
        graph.graph.output.extend(kept[name] for name in OUTPUTS)
        onnx.save(graph, str(path))  # with the weights, which the exporter writes beside the graph
    if int8:
        quantize(path)


def _export(model: MaskClassifier, size: Size, folder: Path) -> Path:
    """The ONNX file that transformers' exporter writes into a folder."""
    from transformers.exporters import OnnxConfig, OnnxExporter

    example = {"pixel_values": torch.zeros(1, 3, *size)}
    with contextlib.redirect_stdout(io.StringIO()):  # its steps
        OnnxExporter().export(model, example, OnnxConfig()).save_pretrained(folder)
    return folder / "model.onnx"


def quantize(path: str | Path) -> None:
    """Makes the weights of an ONNX file 8-bit integers, in place."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, path, op_types_to_quantize=list(QUANTIZED), per_channel=True, weight_type=QuantType.QInt8)
