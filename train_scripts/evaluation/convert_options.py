"""The options of converting checkpoints, in a module that loads nothing heavy: they are read before anything else."""

from dataclasses import dataclass, field
from pathlib import Path

from eomt.train_scripts.data.choices import TASK_NAMES, check_choice
from eomt.train_scripts.data.input_paths import check_checkpoint, check_data_folder

FILES = (".bin", ".pth", ".pt", ".ckpt", ".safetensors")


@dataclass
class ConvertOptions:
    """What is converted, and where to."""

    checkpoint: str = field(
        metadata={"help": f"file of the authors' repository ({', '.join(FILES)}), or a checkpoint of this package or transformers"}
    )
    output: str = field(metadata={"help": "folder to be written, or for the authors' repository a file, .bin or .ckpt"})
    task: str = field(default="panoptic", metadata={"help": "for which the image processor is made", "choices": list(TASK_NAMES)})
    data: str | None = field(
        default=None, metadata={"help": "prepared dataset whose classes the model has; their names are stored"}
    )
    base: str | None = field(
        default=None,
        metadata={
            "help": "released DINOv3 to which the file holds, or is to hold, differences: of timm, or in transformers' format"
        },
    )
    image_size: int | None = field(default=None, metadata={"help": "pixels to resize the position embeddings to"})

    def __post_init__(self):
        self.checkpoint, self.output = str(self.checkpoint), str(self.output)
        check_choice("task", self.task, TASK_NAMES)
        if self.reads_file:
            if not Path(self.checkpoint).is_file():
                raise ValueError(f"checkpoint={self.checkpoint!r}: no such file")
        else:
            check_checkpoint(self.checkpoint)
        if self.data is not None:
            check_data_folder(self.data)
        output = Path(self.output)
        if self.reads_file == (output.suffix in FILES):
            raise ValueError(
                f"checkpoint={self.checkpoint!r}, output={self.output!r}: one must be a file of the authors' repository "
                f"({', '.join(FILES)}), and the other a folder"
            )
        if output.is_file() or output.is_dir() and any(output.iterdir()):
            raise ValueError(f"output={self.output!r} is there already; choose another, or remove it")

    @property
    def reads_file(self) -> bool:
        """Whether the authors' format is read, rather than written."""
        return Path(self.checkpoint).suffix in FILES
