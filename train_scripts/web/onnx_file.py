"""A model as one ONNX file for the page in the browser: one image of one size, and the two outputs that segments are made of."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from eomt.mask_classifier import EomtForUniversalSegmentationOutput, MaskClassifier
from eomt.train_scripts.exporting.checking import Agreement, agreement, check_agreement
from eomt.train_scripts.exporting.graphs import forget_sources

OUTPUTS = ("class_queries_logits", "masks_queries_logits")
QUANTIZED = ("MatMul", "Gemm")  # nearly all weights; convolutions of 8 bits are slower in the browser


def write_onnx(
    model: MaskClassifier, inputs: Sequence[Tensor], path: str | Path, int8: bool = False
) -> tuple[Agreement, Agreement | None]:
    """Writes a model that takes `pixel_values` (1, 3, height, width) as one ONNX file, and compares the file with the model.

    Args:
        model: in evaluation mode.
        inputs: `pixel_values` of the page's size, on which they are compared.
        path: of the file.
        int8: whether weights become 8-bit integers, with a scale a channel, and activations are quantised as they come.

    Returns:
        How the file with float32 weights agrees with the model, and that with 8-bit weights, if there is one.

    Raises:
        ImportError: a package of the extra `export` is missing.
        ValueError: file and model differ by more than rounding.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("a model for the browser needs ONNX; pip install 'eomt-transformers[export]'") from error

    with tempfile.TemporaryDirectory() as folder:
        graph = onnx.load(_export(model, inputs[0].shape[-2:], Path(folder)))
        kept = {output.name: output for output in graph.graph.output}
        del graph.graph.output[:]
        graph.graph.output.extend(kept[name] for name in OUTPUTS)
        onnx.save(graph, str(path))  # with the weights, which the exporter writes beside the graph
    compared = agreement(OnnxFile(path), model, inputs)
    check_agreement(compared)
    if not int8:
        return compared, None
    quantize(path)
    return compared, agreement(OnnxFile(path), model, inputs)


def _export(model: MaskClassifier, size: Sequence[int], folder: Path) -> Path:
    """The ONNX file that transformers' exporter writes into a folder."""
    from transformers.exporters import OnnxConfig, OnnxExporter

    example = {"pixel_values": torch.zeros(1, 3, *size)}
    with contextlib.redirect_stdout(io.StringIO()):  # its steps
        exported = OnnxExporter().export(model, example, OnnxConfig())
        forget_sources(exported.program, "onnx")
        exported.save_pretrained(folder)
    return folder / "model.onnx"


def quantize(path: str | Path) -> None:
    """Makes the weights of an ONNX file 8-bit integers, in place."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, path, op_types_to_quantize=list(QUANTIZED), per_channel=True, weight_type=QuantType.QInt8)


class OnnxFile:
    """The file as the page runs it: one image (1, 3, H, W) -> its class and mask logits."""

    def __init__(self, path: str | Path):
        from onnxruntime import InferenceSession

        self.session = InferenceSession(str(path))

    def __call__(self, pixel_values: Tensor) -> EomtForUniversalSegmentationOutput:
        outputs = self.session.run(list(OUTPUTS), {"pixel_values": pixel_values.numpy()})
        return EomtForUniversalSegmentationOutput(**dict(zip(OUTPUTS, map(torch.from_numpy, outputs), strict=True)))
