"""An exported model, called like the model that it was made from. ONNX Runtime, OpenVINO, ExecuTorch or PyTorch runs its graph.

Shapes: `B` images, `Q` queries, `C` classes, `H, W` pixels.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from eomt.configuration import EomtBaseConfig
from eomt.mask_classifier import EomtForUniversalSegmentationOutput

if TYPE_CHECKING:
    from transformers.exporters import ExportedModel

MANIFEST = "export.json"  # which transformers' exporters write beside the graph
COMPONENT = "model"  # the name of the one graph
FIXED = "fixed_size"  # in the manifest's `export_config`: whether the graph takes images of the traced size alone
SINGLE = "single_image"  # the same: whether it takes one image a call
MASKED = "masked"  # the same: whether its attention is masked
PACKAGES = {  # by the suffix of the graph's file: what has to be installed
    ".onnx": "onnxruntime onnxscript",
    ".xml": "openvino nncf",
    ".pte": "executorch",
    ".pt2": "torch",
}


def is_exported(path: Any) -> bool:
    """Whether a path is a folder with an exported model."""
    return path is not None and (Path(path) / MANIFEST).is_file()


def refuse_exported(path: Any) -> None:
    """Raises ValueError for a folder with an exported model, where the weights of a checkpoint are needed."""
    if is_exported(path):
        raise ValueError(
            f"{str(path)!r} is an export, whose graph runs and does nothing else; give the checkpoint that it was made from"
        )


class ExportedMaskClassifier(nn.Module):
    """
    What scoring, prediction and transformers' pipeline need of a model, over a graph.

    It stays on the device that its runtime has; no call of `to` moves it.

    Args:
        exported: of transformers' exporters, with one graph, whose one input is `pixel_values`.

    Attributes:
        fixed_size: `(H, W)` of the images where the graph takes no other, None where it takes any.
        single_image: whether the graph takes one image a call; batches are then run image by image.
        attn_mask_probs: (1,) 1 where the graph has masked attention, else 0. A graph can't change it.
    """

    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, exported: "ExportedModel"):
        super().__init__()
        metadata = exported.components[COMPONENT].metadata
        self.exported = exported
        self.config: EomtBaseConfig = exported.config
        shape = metadata.kwargs["pixel_values"]["shape"]
        self.fixed_size = tuple(shape[-2:]) if metadata.export_config.get(FIXED, False) else None
        self.single_image = metadata.export_config.get(SINGLE, False)
        self.attn_mask_probs = torch.tensor([float(metadata.export_config.get(MASKED, False))])
        self.eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path, trust_remote_code: bool = False) -> "ExportedMaskClassifier":
        """Loads an exported model. It runs in as many threads as PyTorch does.

        Args:
            folder: as [`export_model`] or a `save_pretrained` of transformers' exporters wrote it.
            trust_remote_code: whether a `.pt2` may be loaded, which can run any code.

        Raises:
            ImportError: the runtime is not installed.
            ValueError: the graph is a `.pt2`, and not trusted.
        """
        suffix = _graph_suffix(Path(folder))
        if suffix == ".pt2" and not trust_remote_code:
            raise ValueError(
                f"{str(folder)!r} has a .pt2, which can run any code when it is loaded; if you trust it, give "
                "trust_remote_code=True (--trust_remote_code)"
            )
        try:
            from transformers.exporters.base import ExportedModel  # loads onnx and others where they are installed

            options = _runtime_options(suffix)
            return cls(ExportedModel.from_pretrained(folder, trust_remote_code=trust_remote_code, **options))
        except (ImportError, NameError) as error:  # transformers' modules use names that are missing without a package
            raise ImportError(f"{str(folder)!r} needs {PACKAGES[suffix]}: pip install {PACKAGES[suffix]} ({error})") from error

    @property
    def device(self) -> torch.device:
        return self.exported.device

    @property
    def dtype(self) -> torch.dtype:
        return self.exported.dtype

    @staticmethod
    def can_generate() -> bool:
        """False. The pipeline asks every model."""
        return False

    def num_parameters(self) -> int:
        """Those of the model that was exported."""
        with torch.device("meta"):
            return AutoModel.from_config(self.config).num_parameters()

    @torch.no_grad()
    def forward(
        self, pixel_values: Tensor, patch_offsets: list[Tensor] | None = None, image_layouts: Tensor | None = None
    ) -> EomtForUniversalSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W), whose sizes are those of the exported model: positive multiples of the patch size (of 32 at
                row 0 of Table 1), or where the graph has a fixed size, that alone.
            patch_offsets, image_layouts: of the image processor, passed through for the post-processing.

        Returns:
            `class_queries_logits` (B, Q, C + 1), `masks_queries_logits` and `last_hidden_state`, with the arguments passed through.

        Raises:
            ValueError: the images have another size.
        """
        self._check(pixel_values)
        pixel_values = pixel_values.to(self.device, self.dtype)
        batches = pixel_values.split(1) if self.single_image else [pixel_values]
        passes = [self.exported(pixel_values=batch) for batch in batches]
        joined = {
            name: torch.cat([outputs[name] for outputs in passes])
            for name in ("class_queries_logits", "masks_queries_logits", "last_hidden_state")
        }
        return EomtForUniversalSegmentationOutput(**joined, patch_offsets=patch_offsets, image_layouts=image_layouts)

    def _check(self, pixel_values: Tensor) -> None:
        channels = self.config.num_channels
        if pixel_values.dim() != 4 or pixel_values.shape[1] != channels or not len(pixel_values):
            raise ValueError(f"pixel_values has shape {tuple(pixel_values.shape)}; expected (batch, {channels}, height, width)")
        size, multiples = tuple(pixel_values.shape[-2:]), self.config.size_multiples_hw
        if self.fixed_size and size != self.fixed_size:
            raise ValueError(
                f"pixel_values is {size[0]}x{size[1]} pixels, but this export takes {self.fixed_size[0]}x{self.fixed_size[1]} "
                "alone; resize or pad the images (EomtImageProcessor does, as it was stored with the export)"
            )
        if not all(size) or any(side % multiple for side, multiple in zip(size, multiples, strict=True)):
            raise ValueError(
                f"pixel_values is {size[0]}x{size[1]} pixels, but height and width must be positive multiples of "
                f"{multiples[0]}x{multiples[1]}; resize or pad the images (EomtImageProcessor does)"
            )


def _graph_suffix(folder: Path) -> str:
    (suffix,) = {Path(entry["file"]).suffix for entry in json.loads((folder / MANIFEST).read_text())["components"].values()}
    return suffix


def _runtime_options(suffix: str) -> dict[str, Any]:
    """PyTorch's number of threads for the runtime of a graph, where the runtime's default is every core of the machine."""
    threads = torch.get_num_threads()
    if suffix == ".onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return {"session_options": options}
    if suffix == ".xml":  # by default OpenVINO computes in bfloat16 where the processor is faster in it
        return {"device": "cpu", "config": {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}}
    return {}
