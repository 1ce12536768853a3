"""The options of a training run that say what it trains on, and how that is augmented."""

from dataclasses import dataclass, field

from eomt.image_processing.defaults import THRESHOLD
from eomt.train_scripts.data.choices import BAD_SAMPLES, TASK_NAMES, check_choice
from eomt.train_scripts.data.counts import check_least
from eomt.train_scripts.evaluation.inference_options import check_threshold, check_views
from eomt.train_scripts.training.deciding import Deciding
from eomt.train_scripts.training.option_groups import DataOption
from eomt.train_scripts.training.start_size import SHARE, check_start_size

LEAST = {"image_size": (1, "pixels, such as 640"), "shuffle_buffer": (1, "rows, such as 1000")}


@dataclass
class DataArguments:
    """What is trained on, and how it is augmented."""

    data: DataOption[Deciding[str]] = field(
        metadata={
            "help": "folder of parquet shards and labels.json, also hf://datasets/org/name; or what `eomt prepare` takes as source "
            "or dataset, which is prepared first"
        }
    )
    prepare: DataOption[str] = field(
        default="",
        metadata={"help": "options of `eomt prepare` for data that are not prepared yet, such as '--classes sky,road --void 255'"},
    )
    fit_to_data: bool = field(
        default=False,
        metadata={"help": "choose options that the command line leaves out by the number of images and the sizes of objects"},
    )
    task: DataOption[Deciding[str]] = field(
        default="panoptic", metadata={"help": f"what to train and score: {', '.join(TASK_NAMES)}"}
    )
    train_split: DataOption[Deciding[str]] = field(default="train", metadata={"help": "prefix of the shards to train on"})
    eval_split: DataOption[str | None] = field(default="val", metadata={"help": "prefix of the shards to evaluate on; '' for none"})
    image_size: DataOption[Deciding[int]] = field(
        default=640, metadata={"help": "side of the square training crops and evaluation inputs, pixels"}
    )
    start_image_size: Deciding[int | None] = field(
        default=None,
        metadata={"help": "side that crops are resized to in the first part of the training, for faster steps; 0: none"},
    )
    start_share: Deciding[float] = field(
        default=SHARE, metadata={"help": "share of the training in which crops have start_image_size"}
    )
    augment: Deciding[bool] = field(
        default=True,
        metadata={"help": "flips, scales and crops at random; false: each image fitted inside image_size, always alike"},
    )
    min_scale: Deciding[float] = field(
        default=0.1, metadata={"help": "smallest scale jitter, of the image fitted inside image_size"}
    )
    max_scale: Deciding[float] = field(default=2.0, metadata={"help": "largest scale jitter"})
    color_jitter: Deciding[bool] = field(
        default=False, metadata={"help": "brightness, contrast, saturation and hue (ADE20K, Cityscapes)"}
    )
    rotate90: Deciding[bool] = field(
        default=False, metadata={"help": "quarter turns, for images without an upright, such as of microscopes and from above"}
    )
    copy_paste: Deciding[float] = field(
        default=0.0,
        metadata={"help": "probability that things of an earlier image of similar kind are pasted over one (instance, panoptic)"},
    )
    shuffle_buffer: int = field(default=1000, metadata={"help": "rows held for shuffling; nothing is held but encoded images"})
    bad_samples: DataOption[Deciding[str]] = field(
        default="raise",
        metadata={"help": f"images that can't be used, one of {', '.join(BAD_SAMPLES)}: stop, or leave out and report"},
    )
    tiles: float | None = field(
        default=None,
        metadata={"help": "evaluate in overlapping tiles as well, in which objects are so many times as large (instance); 0: none"},
    )
    threshold: float = field(default=THRESHOLD, metadata={"help": "class score that a query needs to become a segment (panoptic)"})

    def __post_init__(self):
        check_choice("task", self.task, TASK_NAMES)
        check_choice("bad_samples", self.bad_samples, BAD_SAMPLES)
        check_least(self, LEAST)
        self.start_image_size, self.tiles = self.start_image_size or None, self.tiles or None
        for name in ("color_jitter", "rotate90", "copy_paste"):
            if getattr(self, name) and not self.augment:
                raise ValueError(
                    f"{name}={getattr(self, name)} has no effect with augment=False; leave one of them out, or give "
                    f"--{name} {'0' if name == 'copy_paste' else 'false'} where a recipe has it"
                )
        check_threshold(self.threshold, [self.task], of=TASK_NAMES)  # recipes have one for any task
        check_views(self.tiles, False, [1.0], self.task)
        if self.start_image_size is not None or not self.fit_to_data:  # which may choose it yet
            check_start_size(self.start_image_size, self.start_share, self.image_size)
        if not 0 <= self.copy_paste <= 1:
            raise ValueError(f"copy_paste={self.copy_paste} must be a probability, from 0 to 1")
        if self.copy_paste and self.task == "semantic":
            raise ValueError(f"copy_paste={self.copy_paste} pastes things, which task='semantic' doesn't tell apart; leave it out")
        if not self.fit_to_data or not (self.min_scale > 0 and self.max_scale > 0):  # one of them may be chosen yet
            self.check_scales()

    def check_scales(self) -> None:
        """Raises ValueError for a range of scales that is none."""
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(f"min_scale={self.min_scale}, max_scale={self.max_scale}: need 0 < min_scale <= max_scale")
