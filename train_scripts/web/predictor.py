"""One picture at a time through a model: its outputs once, and its segments for any task and thresholds.

Shapes: H, W pixels of the picture as it is shown.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from eomt.image_processing.defaults import MASK_THRESHOLD, OVERLAP_MASK_AREA_THRESHOLD, THRESHOLD
from eomt.image_processing.pictures import class_color
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import decode_image
from eomt.train_scripts.evaluation.inference_options import SCORE_TOLERANCE
from eomt.train_scripts.evaluation.loading import class_names, load_model, load_processor, pass_dtype, stored_model
from eomt.train_scripts.evaluation.precision import autocast
from eomt.train_scripts.evaluation.tasks import TASKS, task_of

LONGEST_SHOWN = 1280  # pixels; larger pictures are shown, and segmented, at this long side


@dataclass(frozen=True)
class Prediction:
    """What a forward pass gives for a picture: pixels (H, W, 3) uint8 as shown, the model's outputs, and the seconds it took."""

    pixels: np.ndarray
    outputs: Any
    seconds: float


@dataclass(frozen=True)
class Segment:
    """A segment to draw: its class's name, mask (H, W) bool, RGB, and class score (of a map of classes there is none)."""

    name: str
    mask: np.ndarray
    color: tuple[int, int, int]
    score: float | None = None


class Predictor:
    """A checkpoint with its image processor, on the machine's accelerator if it has one.

    Args:
        checkpoint: a folder or a Hub name.
        task: the one that is offered first; by default what the stored classes suggest.
        trust_remote_code: whether an exported `.pt2` may be loaded, which can run any code.

    Raises:
        ValueError: the checkpoint has no such task, or is a `.pt2` that is not trusted.
        OSError: there is no such checkpoint.
    """

    def __init__(self, checkpoint: str | Path, task: str | None = None, trust_remote_code: bool = False):
        source = stored_model(checkpoint)
        self.device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        self.dtype = pass_dtype(source, self.device, None)
        self.model = load_model(source, trust_remote_code=trust_remote_code).eval().to(self.device)
        self.names = class_names(self.model)
        labels = Labels(self.names, [True] * len(self.names))
        # a semantic processor may cut windows or not: the check of the others is made where one of them is asked for
        self.processor = load_processor(source, task_of(task or "semantic"), min(self.model.config.image_size_hw), labels)
        stuff = self.processor.stuff_classes
        self.isthing = [label not in stuff for label in range(len(self.names))]
        self.tasks = ["semantic"] if self.processor.do_split_image or not any(self.isthing) else list(TASKS)
        if task is not None and task not in self.tasks:
            raise ValueError(f"task={task!r}: checkpoint={str(checkpoint)!r} has no things; choose semantic")
        self.task = task or self._likely_task()

    def _likely_task(self) -> str:
        """The task that a model was trained for, as far as its classes show it."""
        if len(self.tasks) == 1:
            return "semantic"
        return "instance" if all(self.isthing) else "panoptic"

    @torch.inference_mode()
    def predict(self, path: str | Path) -> Prediction:
        """Reads a picture, turned upright, and runs the model on it.

        Raises:
            ValueError: it can't be read, or has no 8-bit channels.
        """
        pixels = decode_image({"path": str(path)}, "picture")
        image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
        start = time.perf_counter()
        inputs = self.processor(images=image, return_tensors="pt").to(self.device)
        with autocast(self.device, self.dtype):
            outputs = self.model(**inputs)
        seconds = time.perf_counter() - start
        image.thumbnail((LONGEST_SHOWN, LONGEST_SHOWN))
        return Prediction(np.asarray(image), outputs, seconds)

    def segments(
        self,
        prediction: Prediction,
        task: str,
        threshold: float = THRESHOLD,
        mask_threshold: float = MASK_THRESHOLD,
        overlap_mask_area_threshold: float = OVERLAP_MASK_AREA_THRESHOLD,
    ) -> list[Segment]:
        """The segments of a picture, without another forward pass.

        Args:
            prediction: as [`predict`] gives it.
            task: one of `tasks`.
            threshold: class score that a segment needs (panoptic), or score (instance).
            mask_threshold: mask probability that a pixel of a segment needs (panoptic, instance).
            overlap_mask_area_threshold: share of its mask that a segment must keep (panoptic).
        """
        sizes = [prediction.pixels.shape[:2]]
        post, outputs = self.processor, prediction.outputs
        if task == "semantic":
            ids = post.post_process_semantic_segmentation(outputs, sizes, tolerance=SCORE_TOLERANCE)[0].cpu().numpy()
            return [Segment(self.names[i], ids == i, class_color(i, self.isthing)) for i in np.unique(ids).tolist()]
        if task == "instance":
            limits = {"threshold": threshold, "mask_threshold": mask_threshold}
            (result,) = post.post_process_instance_segmentation(outputs, sizes, **limits, return_binary_maps=True)
            masks = result["segmentation"].cpu().numpy()
            return self._scored(zip(result["segments_info"], masks, strict=True))
        limits = threshold, mask_threshold, overlap_mask_area_threshold
        (result,) = post.post_process_panoptic_segmentation(outputs, sizes, *limits)
        ids = result["segmentation"].cpu().numpy()
        return self._scored([(info, ids == info["id"]) for info in result["segments_info"]])

    def _scored(self, pairs: Iterable[tuple[dict, np.ndarray]]) -> list[Segment]:
        """Segments of pairs of info and mask; several things of a class have shades of its colour."""
        counts, segments = Counter(), []
        for info, mask in pairs:
            label = info["label_id"]
            color = class_color(label, self.isthing, counts[label])
            segments.append(Segment(self.names[label], mask, color, info["score"]))
            counts[label] += 1
        return segments
