"""The options of exporting, in a module that loads nothing heavy: they are read before anything else."""

from dataclasses import dataclass, field
from pathlib import Path

from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.data.input_paths import check_checkpoint
from eomt.train_scripts.evaluation.inference_options import CHECKPOINT_HELP

TARGETS = ("onnx", "openvino", "executorch", "pt2", "web")
INT8 = ("onnx", "openvino", "web")  # that can be made with 8-bit weights


@dataclass
class ExportOptions:
    """What is exported, to what, and where to."""

    checkpoint: str = field(metadata=CHECKPOINT_HELP | {"help": "EoMT checkpoint, a folder or a Hub name"})
    to: str = field(
        metadata={
            "help": "what runs it: ONNX Runtime, OpenVINO, ExecuTorch (one image of one size a call), PyTorch, a web page",
            "choices": list(TARGETS),
        }
    )
    output: str = field(metadata={"help": "folder to be written"})
    int8: bool = field(
        default=False,
        metadata={
            "help": "8-bit weights, a quarter of the size and a little less exact: ONNX Runtime also computes in 8 bits, which is "
            "faster; OpenVINO does not"
        },
    )
    masked: bool | None = field(
        default=None,
        metadata={"help": "export with masked attention, or without; a checkpoint that is not annealed needs this choice"},
    )
    images: str | None = field(
        default=None,
        metadata={"help": "image or folder of images on which the export is checked against PyTorch; by default drawn scenes"},
    )

    web_runtime: str | None = field(
        default=None,
        metadata={"help": "of the page: folder with the files of ONNX Runtime Web; by default they are fetched from npm"},
    )
    web_examples: list[str] = field(default_factory=list, metadata={"help": "of the page: pictures that it offers"})

    def __post_init__(self):
        self.checkpoint, self.output = str(self.checkpoint), str(self.output)
        check_choice("to", self.to, TARGETS)
        check_checkpoint(self.checkpoint)
        if self.int8 and self.to not in INT8:
            raise ValueError(f"int8=True, to={self.to!r}: 8-bit weights are for {', '.join(INT8)}; leave it out, or choose one")
        if self.to != "web" and (self.web_runtime or self.web_examples):
            given = "web_runtime" if self.web_runtime else "web_examples"
            raise ValueError(f"{given}={getattr(self, given)!r} is for --to web, not for to={self.to!r}; leave it out")
        if Path(self.output).exists():
            raise ValueError(f"output={self.output!r} is there already; choose another, or remove it")
        if self.images is not None:
            self.images = str(self.images)
            if not Path(self.images).exists():
                raise ValueError(f"images={self.images!r}: no such file or folder; give photos, or leave it out")
