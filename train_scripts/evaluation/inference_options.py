"""The options of scoring and of prediction, in a module that loads nothing heavy: they are read before anything else.

They have no base class: programs call both by position, and a base class's fields would come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.scales import check_scales
from eomt.train_scripts.data.choices import BAD_SAMPLES, CONFIDENCE_NAMES, PREDICTION_FORMATS, TASK_NAMES, check_choice
from eomt.train_scripts.data.counts import check_least
from eomt.train_scripts.data.input_paths import check_checkpoint, check_data_folder

PICTURED = 6  # images
SCORE_TOLERANCE = 0.001  # of class scores in maps of classes: half precision errs by more
IMPLEMENTATIONS = ("eomt", "transformers")
# what both have in common, each the `metadata` of a field
CHECKPOINT_HELP = {"help": "EoMT checkpoint, a folder (also of an interrupted run, or of `eomt export`) or a Hub name"}
TRUST_HELP = {"help": "load an exported .pt2, which can run any code"}
TASK_HELP = {"help": "what the model segments", "choices": list(TASK_NAMES)}
BATCH_SIZE_HELP = {"help": "images a process and forward pass"}
THRESHOLD_HELP = {"help": f"class score that a query needs to become a segment (panoptic), by default {THRESHOLD}"}
BF16_HELP = {"help": "bfloat16 autocast; by default where the machine is faster in it"}
ATTENTION_HELP = {"help": "eager, sdpa, flash_attention_2 or flex_attention"}
MASKED_HELP = {
    "help": "mask attention or not; by default rows 0 to 3 of Table 1 as they were trained (--masking always: masked), EoMT never"
}
MERGING_METHODS = ("algm", "mpm")
MERGE_HELP = {"help": "merge similar tokens, which is faster and a little less exact", "choices": list(MERGING_METHODS)}
MERGE_THRESHOLD_HELP = {"help": "similarity from which on neighbours are merged (algm); .95 by default, lower is faster"}
MERGE_BLOCKS_HELP = {
    "help": "blocks that merge, from 1: of neighbours and of any tokens, 0 for none (algm, 1 5 by default), or those before which "
    "pairs are merged (mpm, 2 5)"
}
TILES_HELP = {
    "help": "predict on overlapping tiles as well, in which objects are so many times as large as in the whole image, for small "
    "objects; 2 takes about 9 times as long (instance)"
}
MIRROR_HELP = {"help": "mean over the image and its mirror image, which takes twice as long (semantic)"}
SCALES_HELP = {
    "help": "mean over windows of several scales, such as 1 1.5; of a square image, scales above 1 up to 2 have 4 each (semantic)"
}


@dataclass
class ScoreOptions:
    """What is scored, and how."""

    checkpoint: str = field(
        metadata={
            "help": "EoMT checkpoint, or Mask2Former, MaskFormer or OneFormer of transformers: a folder (also of an interrupted "
            "run, or of `eomt export`) or a Hub name"
        }
    )
    data: str = field(metadata={"help": "folder of parquet shards and labels.json"})
    split: str = field(metadata={"help": "prefix of the shards to score", "default": "val"})
    task: str = field(metadata=TASK_HELP)
    batch_size: int = field(default=1, metadata=BATCH_SIZE_HELP)
    threshold: float | None = field(
        default=None,
        metadata={
            "help": f"class score that a query needs to become a segment (panoptic), by default {THRESHOLD}; with transformers' "
            "code also the score of an instance, by default that code's"
        },
    )
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
    implementation: str = field(
        default="eomt",
        metadata={
            "help": "whose code runs an EoMT checkpoint, this package's or transformers'; other models always run by transformers'",
            "choices": list(IMPLEMENTATIONS),
        },
    )
    latency: int = field(
        default=0, metadata={"help": "images of which each step is timed, one at a time, before they are scored; 0: none"}
    )
    output: str | None = field(default=None, metadata={"help": "JSON file for the scores and the options"})
    merge_tokens: str | None = field(default=None, metadata=MERGE_HELP)
    merge_threshold: float | None = field(default=None, metadata=MERGE_THRESHOLD_HELP)
    merge_blocks: list[int] | None = field(default=None, metadata=MERGE_BLOCKS_HELP)
    tiles: float | None = field(default=None, metadata=TILES_HELP)
    mirror: bool = field(default=False, metadata=MIRROR_HELP)
    scales: list[float] = field(default_factory=lambda: [1.0], metadata=SCALES_HELP)
    trust_remote_code: bool = field(default=False, metadata=TRUST_HELP)

    def __post_init__(self):
        check_choice("task", self.task, TASK_NAMES)
        check_choice("implementation", self.implementation, IMPLEMENTATIONS)
        check_least(self, {"batch_size": (1, "images of a forward pass, such as 4")})
        if self.latency < 0:
            raise ValueError(f"latency={self.latency} must be a number of images, or 0 for no timing")
        check_checkpoint(self.checkpoint)
        check_choice("bad_samples", self.bad_samples, BAD_SAMPLES)
        check_data_folder(self.data)
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} must lie in 0..1, as class scores do; 0 gives exact maps")
        check_merging(self.merge_tokens, self.merge_threshold, self.merge_blocks)
        # of instances, transformers' code has one as well; whose code runs a checkpoint is known when that is read
        check_threshold(self.threshold, [self.task], of=("panoptic", "instance"))
        check_views(self.tiles, self.mirror, self.scales, self.task)
        if (given := given_views(self)) and self.implementation != "eomt":
            raise ValueError(f"{given} is for implementation='eomt', not {self.implementation!r}; leave one of them out")


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
    threshold: float | None = field(default=None, metadata=THRESHOLD_HELP)
    overlays: bool = field(default=False, metadata={"help": "pictures of the images with their segments"})
    categories: str | None = field(
        default=None,
        metadata={
            "help": "a json of COCO, or a list of its categories, whose ids are used, by name; it also says what is stuff, for "
            "checkpoints that don't, as those of transformers, whose classes are all things without it"
        },
    )
    threads: int = field(default=2, metadata={"help": "threads that decode images, a process"})
    bf16: bool | None = field(default=None, metadata=BF16_HELP)
    attn_implementation: str = field(default="sdpa", metadata=ATTENTION_HELP)
    masked: bool | None = field(default=None, metadata=MASKED_HELP)
    merge_tokens: str | None = field(default=None, metadata=MERGE_HELP)
    merge_threshold: float | None = field(default=None, metadata=MERGE_THRESHOLD_HELP)
    merge_blocks: list[int] | None = field(default=None, metadata=MERGE_BLOCKS_HELP)
    tiles: float | None = field(default=None, metadata=TILES_HELP)
    mirror: bool = field(default=False, metadata=MIRROR_HELP)
    scales: list[float] = field(default_factory=lambda: [1.0], metadata=SCALES_HELP)
    confidence: list[str] = field(
        default_factory=list,
        metadata={
            "help": "maps of how sure the model is at each pixel, in PNGs of 16 bits, by one score or several",
            "choices": list(CONFIDENCE_NAMES),
        },
    )
    format: str = field(
        default="task",
        metadata={
            "help": "the task's files, or those of the BRAVO challenge (semantic, with one confidence, by default max)",
            "choices": list(PREDICTION_FORMATS),
        },
    )
    also: list[str] = field(
        default_factory=list,
        metadata={
            "help": "further checkpoints with the same frozen encoder, each as TASK=CHECKPOINT: images are read and encoded once "
            "for all; their files go to OUTPUT_NAME, by the name of the checkpoint's folder"
        },
    )
    trust_remote_code: bool = field(default=False, metadata=TRUST_HELP)

    def __post_init__(self):
        check_choice("task", self.task, TASK_NAMES)
        check_checkpoint(self.checkpoint)
        check_least(self, {"batch_size": (1, "images of a forward pass, such as 4"), "threads": (1, "such as 2")})
        self._check_also()
        check_merging(self.merge_tokens, self.merge_threshold, self.merge_blocks)
        check_threshold(self.threshold, [self.task, *(also.partition("=")[0] for also in self.also)])
        check_views(self.tiles, self.mirror, self.scales, self.task)
        if self.tiles is not None and self.confidence:
            raise ValueError(f"tiles={self.tiles} has no confidence, which is {self.confidence}; leave one of them out")
        if (given := given_views(self)) and self.also:
            raise ValueError(f"{given} is of one model, but also={self.also} shares images among several; leave one of them out")
        for name in self.confidence:
            check_choice("confidence", name, CONFIDENCE_NAMES)
        check_choice("format", self.format, PREDICTION_FORMATS)
        if self.format == "bravo":
            self.confidence = self.confidence or ["max"]
            if self.task != "semantic" or len(self.confidence) != 1:
                raise ValueError(
                    f"format='bravo' with task={self.task!r}, confidence={self.confidence}: the challenge takes classes of pixels "
                    "and one confidence; give task='semantic' and one score"
                )
        # pathlib paths are taken, too; the record of a run holds text
        self.checkpoint, self.images, self.output = str(self.checkpoint), str(self.images), str(self.output)

    def _check_also(self) -> None:
        for also in self.also:
            task, separator, checkpoint = also.partition("=")
            if not separator:
                raise ValueError(f"also={also!r} must be TASK=CHECKPOINT, such as panoptic=outputs/street")
            check_choice("also", task, TASK_NAMES)
            check_checkpoint(checkpoint)
        names = [Path(also.partition("=")[2]).name for also in self.also]
        if len(set(names)) < len(names):
            raise ValueError(f"also={self.also}: two checkpoints have folders of one name, and so one output folder; rename one")
        if self.also and (self.merge_tokens or self.format != "task"):
            raise ValueError("also shares features of all tokens, for the tasks' files: leave out merge_tokens and format")


def check_threshold(threshold: float | None, tasks: Sequence[str], of: Sequence[str] = ("panoptic",)) -> None:
    """Raises ValueError unless a threshold lies in 0..1, and one of the tasks is among those `of` which segments need a score."""
    if threshold is None:
        return
    if not set(tasks) & set(of):
        raise ValueError(f"threshold={threshold} is for task='panoptic', not {tasks[0]!r}; leave it out")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold={threshold} must lie in 0..1 and be less than 1, as class scores are; by default {THRESHOLD}")


def check_merging(method: str | None, threshold: float | None, blocks: list[int] | None) -> None:
    """Raises ValueError unless the options of token merging, of these names with `merge_`, go together."""
    given = {"merge_threshold": threshold, "merge_blocks": blocks}
    if method is None:
        if unused := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{unused[0]}={given[unused[0]]} needs merge_tokens, which is one of {', '.join(MERGING_METHODS)}")
        return
    check_choice("merge_tokens", method, MERGING_METHODS)
    if method == "mpm" and threshold is not None:
        raise ValueError(f"merge_threshold={threshold} is of merge_tokens=algm; mpm has no threshold, leave it out")
    if method == "algm" and blocks is not None and len(blocks) != 2:
        raise ValueError(f"merge_blocks={blocks} must be two blocks for algm, as in 1 5; 0 leaves a merge out")


def given_views(options: "ScoreOptions | PredictOptions") -> str | None:
    """The first option that shows images several times, with its value; None if they are shown once."""
    views = {"tiles": (options.tiles, None), "mirror": (options.mirror, False), "scales": (options.scales, [1.0])}
    return next((f"{name}={value}" for name, (value, once) in views.items() if value != once), None)


def check_views(tiles: float | None, mirror: bool, scales: list[float], task: str) -> None:
    """Raises ValueError unless scales are possible, tiles are of instances, and mirror images and scales of semantic maps."""
    if mirror and task != "semantic":
        raise ValueError(f"mirror=True is for task='semantic', not {task!r}; leave it out")
    check_scales(scales)
    if scales != [1.0] and task != "semantic":
        raise ValueError(f"scales={scales} is for task='semantic', not {task!r}; leave it out")
    if tiles is None:
        return
    if task != "instance":
        raise ValueError(f"tiles={tiles} is for task='instance', not {task!r}; leave it out")
    if not 1 <= tiles <= 16:
        raise ValueError(f"tiles={tiles} must lie in 1..16: how many times as large as in the whole image objects are in tiles")
