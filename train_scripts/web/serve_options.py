"""The options of the demo app, in a module that loads nothing heavy: they are read before anything else."""

from dataclasses import dataclass, field
from pathlib import Path

from eomt.train_scripts.data.choices import TASK_NAMES, check_choice
from eomt.train_scripts.data.input_paths import check_checkpoint
from eomt.train_scripts.evaluation.inference_options import CHECKPOINT_HELP, TRUST_HELP


@dataclass
class ServeOptions:
    """What the app serves, and where."""

    checkpoint: str = field(metadata=CHECKPOINT_HELP)
    examples: str | None = field(default=None, metadata={"help": "picture or folder of pictures that the app offers, the first 8"})
    task: str | None = field(
        default=None,
        metadata={
            "help": "the task chosen at first; by default what the checkpoint's classes suggest",
            "choices": list(TASK_NAMES),
        },
    )
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen at; 0.0.0.0 lets other machines in"})
    port: int = field(default=7860, metadata={"help": "port to listen at"})
    space: str | None = field(default=None, metadata={"help": "new folder for the files of a Space; nothing is served then"})
    trust_remote_code: bool = field(default=False, metadata=TRUST_HELP)

    def __post_init__(self):
        check_checkpoint(self.checkpoint)
        if self.task is not None:
            check_choice("task", self.task, TASK_NAMES)
        if self.examples is not None and not Path(self.examples).exists():
            raise ValueError(f"examples={self.examples!r}: no such file or folder; give a picture or a folder of pictures")
        if not 0 < self.port < 65536:
            raise ValueError(f"port={self.port} must lie in 1..65535")
        if self.space is not None and self.trust_remote_code:
            raise ValueError(f"trust_remote_code=True has no effect with space={self.space!r}, which takes no export; leave it out")
