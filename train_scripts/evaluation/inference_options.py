"""The options of scoring and of prediction, in a module that loads nothing heavy: they are read before anything else.

They have no base class: programs call both by position, and a base class's fields would come first.
"""

from dataclasses import dataclass, field

from eomt.image_processing.defaults import THRESHOLD
from eomt.train_scripts.data.choices import BAD_SAMPLES, TASK_NAMES, check_choice
from eomt.train_scripts.data.input_paths import check_checkpoint, check_data_folder

PICTURED = 6  # images
SCORE_TOLERANCE = 0.001  # of class scores in maps of classes: half precision errs by more
# what both have in common, each the `metadata` of a field
CHECKPOINT_HELP = {"help": "EoMT checkpoint, a folder (also of an interrupted run) or a Hub name"}
TASK_HELP = {"help": "what the model segments", "choices": list(TASK_NAMES)}
BATCH_SIZE_HELP = {"help": "images a process and forward pass"}
THRESHOLD_HELP = {"help": "class score that a query needs to become a segment (panoptic)"}
BF16_HELP = {"help": "bfloat16 autocast; by default where the machine is faster in it"}
ATTENTION_HELP = {"help": "eager, sdpa, flash_attention_2 or flex_attention"}
MASKED_HELP = {
    "help": "mask attention or not; by default rows 0 to 3 of Table 1 as they were trained (--masking always: masked), EoMT never"
}


@dataclass
class ScoreOptions:
    """What is scored, and how."""

    checkpoint: str = field(metadata=CHECKPOINT_HELP)
    data: str = field(metadata={"help": "folder of parquet shards and labels.json"})
    split: str = field(metadata={"help": "prefix of the shards to score", "default": "val"})
    task: str = field(metadata=TASK_HELP)
    batch_size: int = field(default=1, metadata=BATCH_SIZE_HELP)
    threshold: float = field(default=THRESHOLD, metadata=THRESHOLD_HELP)
    boundary: bool = field(default=False, metadata={"help": "boundary AP as well (instance)"})
    picture: str | None = field(
        default=None, metadata={"help": f"PNG for a grid of {PICTURED} images over the split, with truths and predictions"}
    )
    bad_samples: str = field(
        default="raise", metadata={"help": "images that can't be used: stop, or leave out and count", "choices": list(BAD_SAMPLES)}
    )
    bf16: bool | None = field(default=None, metadata=BF16_HELP)
    attn_implementation: str = field(default="sdpa", metadata=ATTENTION_HELP)
    masked: bool | None = field(default=None, metadata=MASKED_HELP)
    tolerance: float = field(
        default=SCORE_TOLERANCE,
        metadata={
            "help": "a pixel's class may be one whose score is lower than the best by this (semantic); 0 is exact and slower"
        },
    )
    output: str | None = field(default=None, metadata={"help": "JSON file for the scores and the options"})

    def __post_init__(self):
        check_choice("task", self.task, TASK_NAMES)
        check_checkpoint(self.checkpoint)
        check_choice("bad_samples", self.bad_samples, BAD_SAMPLES)
        check_data_folder(self.data)
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} must lie in 0..1, as class scores do; 0 gives exact maps")


@dataclass
class PredictOptions:
    """What is predicted on, by what, and where to."""

    checkpoint: str = field(metadata=CHECKPOINT_HELP)
    images: str = field(metadata={"help": "image, folder of images or of parquet shards, parquet file, or dataset of the Hub"})
    task: str = field(metadata=TASK_HELP)
    output: str = field(metadata={"help": "folder for the predictions"})
    split: str = field(default="val", metadata={"help": "split of a dataset"})
    column: str = field(default="image", metadata={"help": "column of a dataset that holds the images"})
    batch_size: int = field(default=1, metadata=BATCH_SIZE_HELP)
    threshold: float = field(default=THRESHOLD, metadata=THRESHOLD_HELP)
    overlays: bool = field(default=False, metadata={"help": "pictures of the images with their segments"})
    categories: str | None = field(
        default=None,
        metadata={
            "help": "a json of COCO, whose category ids are used, by name; it also says what is stuff, for checkpoints that don't, "
            "as those of transformers, whose classes are all things without it"
        },
    )
    threads: int = field(default=2, metadata={"help": "threads that decode images, a process"})
    bf16: bool | None = field(default=None, metadata=BF16_HELP)
    attn_implementation: str = field(default="sdpa", metadata=ATTENTION_HELP)
    masked: bool | None = field(default=None, metadata=MASKED_HELP)

    def __post_init__(self):
        check_choice("task", self.task, TASK_NAMES)
        check_checkpoint(self.checkpoint)
        # pathlib paths are taken, too; the record of a run holds text
        self.checkpoint, self.images, self.output = str(self.checkpoint), str(self.images), str(self.output)
