"""transformers' own segmentation models, each loaded, fed and read by its own classes, as its users do.

Their results are turned into the form of our metrics. Ids that no segment has, 0 or -1, become -1. Of a class of stuff an image has
one segment. Masks that may overlap stay apart.

Shapes: n instances of an image, H, W pixels.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import torch
import transformers
from pycocotools import mask as coco_mask
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.utils import ModelOutput

from eomt.configuration import EomtBaseConfig
from eomt.train_scripts.data.choices import TASK_NAMES
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.evaluation.inference_options import ScoreOptions, given_views
from eomt.train_scripts.evaluation.loading import check_classes, check_complete, class_names, named_in_errors
from eomt.train_scripts.evaluation.segmenter import Segmenter
from eomt.train_scripts.evaluation.tasks import KEPT_SCORE, TOP_INSTANCES, CrowdedInstanceTask, Result, Task

VOID = -1
OURS_ALONE = ("batch_size", "masked", "attn_implementation", "merge_tokens")  # options of this package's models


class Rival(Segmenter):
    """
    A checkpoint of transformers with its own model, image processor and post-processing.

    Images are predicted one at a time: the padding of batches would change transformers' results.

    Args:
        checkpoint: a folder or a Hub name.
        model_type: of its configuration.
        task: what is predicted.
        labels: the dataset's classes.
        threshold: class score that a query needs to become a segment, or score of an instance; None: see `arguments`.
        device: of the model.
        autocast: makes the context of a forward pass.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: weights or the processor are missing, or the classes aren't the dataset's.
    """

    implementation = "transformers"
    host_tasks: tuple[str, ...] = ()  # whose post-processing fails on another device than the CPU

    def __init__(
        self,
        checkpoint: str,
        model_type: str,
        task: Task,
        labels: Labels,
        threshold: float | None,
        device: torch.device,
        autocast: Callable[[], AbstractContextManager],
    ):
        with named_in_errors(checkpoint):
            load = self.model_class(model_type).from_pretrained
            model, loaded = load(checkpoint, dtype=torch.float32, output_loading_info=True)
        check_complete(model, loaded["missing_keys"], checkpoint)
        self.index_in_task = self.check_classes(class_names(model), task, labels, checkpoint)
        self.model, self.autocast = model.to(device).eval(), autocast
        self.stuff = {index for index, isthing in enumerate(labels.isthing) if not isthing}
        processor = self.load_processor(checkpoint)
        self.processor = self.of_images_alone(processor, task)
        self._post_process = getattr(processor, f"post_process_{task.name}_segmentation")
        self._arguments = self.arguments({} if threshold is None else {"threshold": threshold})[task.name]
        self._read = {"semantic": Tensor.cpu, "instance": self._instances, "panoptic": self._segments}[task.name]
        self._crowded = isinstance(task, CrowdedInstanceTask)
        self._device = torch.device("cpu") if task.name in self.host_tasks else device
        self.threshold = self._arguments.get("threshold")

    def model_class(self, model_type: str) -> type:
        """The class that loads the model."""
        return transformers.AutoModelForUniversalSegmentation

    def load_processor(self, checkpoint: str) -> Any:
        """The checkpoint's own processor.

        Raises:
            ValueError: there is none, or transformers can't load it.
        """
        try:
            return self.processor_class().from_pretrained(checkpoint)
        except (OSError, ValueError, TypeError) as error:  # each of these, by what is missing
            reason = str(error).strip().split("\n")[0]
            raise ValueError(
                f"checkpoint={checkpoint!r} has no processor that transformers can load ({reason}); give a checkpoint with its "
                "preprocessor_config.json, of OneFormer with its tokenizer's files as well"
            ) from error

    def processor_class(self) -> type:
        """The class that loads the processor."""
        return transformers.AutoImageProcessor

    def of_images_alone(self, processor: Any, task: Task) -> Callable[..., Mapping[str, Any]]:
        """The processor as `processor(images=..., return_tensors="pt")`."""
        return processor

    def check_classes(self, names: list[str], task: Task, labels: Labels, checkpoint: str) -> dict[int, int]:
        """{index of the model's class: index of the task's}.

        Raises:
            ValueError: the model has other classes than the task.
        """
        check_classes(names, task.labels(labels).names, checkpoint)
        return {index: index for index in range(len(names))}

    @abstractmethod
    def arguments(self, threshold: dict[str, float]) -> dict[str, dict[str, Any]]:
        """{task: what its post-processing is called with besides outputs and sizes}.

        Args:
            threshold: the argument, or nothing.
        """

    def forward(self, inputs: Mapping[str, Any]) -> ModelOutput:
        on_device = {name: value.to(self.model.device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
        with self.autocast():
            return self.model(**on_device)

    def post_process(self, outputs: ModelOutput, size: tuple[int, int]) -> Any:
        for name in ("masks_queries_logits", "class_queries_logits"):
            outputs[name] = outputs[name].to(self._device, torch.float32)  # under autocast they are of half precision
        return self._post_process(outputs, target_sizes=[size], **self._arguments)[0]

    def result(self, segments: Any) -> Result:
        return self._read(segments)

    def _instances(self, segments: Mapping) -> dict[str, Any]:
        """Of (n, H, W) masks or an (H, W) map of ids, the instances that the task's `result` would give.

        Instances without a pixel are left out, and those that aren't of the task's classes.
        """
        masks, infos = segments["segmentation"].cpu(), segments["segments_info"]
        if masks.ndim == 3:
            rles = [coco_mask.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8)) for mask in masks]
        else:
            rles = segments_to_rles(masks.long(), [info["id"] for info in infos])
        kept = [
            (info["score"], self.index_in_task[info["label_id"]], rle)
            for info, rle in zip(infos, rles, strict=True)
            if info["label_id"] in self.index_in_task and coco_mask.area(rle)
        ]
        kept = sorted(kept, key=lambda instance: -instance[0])
        best, further = kept[:TOP_INSTANCES], [instance for instance in kept[TOP_INSTANCES:] if instance[0] >= KEPT_SCORE]
        return _columns(best) | ({"all": _columns(best + further)} if self._crowded else {})

    def _segments(self, segments: Mapping) -> dict[str, Any]:
        """Segments without overlap, the stuff of a class joined in the id of its first."""
        id_map, infos, first_of_class = segments["segmentation"].cpu().long(), [], {}
        ids = torch.tensor([info["id"] for info in segments["segments_info"]], dtype=torch.int64)
        id_map = torch.where(torch.isin(id_map, ids), id_map, VOID)
        for info in segments["segments_info"]:
            label = info["label_id"]
            if label in first_of_class:
                id_map = torch.where(id_map == info["id"], first_of_class[label], id_map)
                continue
            if label in self.stuff:
                first_of_class[label] = info["id"]
            infos.append(info)
        return {"segmentation": id_map, "segments_info": infos}


def _columns(instances: list[tuple[float, int, dict]]) -> dict[str, Any]:
    """Scores, classes and run lengths of instances, in the form of the metric."""
    return {
        "rles": [rle for _, _, rle in instances],
        "scores": torch.tensor([score for score, _, _ in instances]),
        "labels": torch.tensor([label for _, label, _ in instances], dtype=torch.int64),
    }


class MaskFormerRival(Rival):
    """Mask2Former and MaskFormer.

    Average precision asks for all instances, so that none is dropped by its score. Stuff is joined here: where `label_ids_to_fuse`
    joins it, transformers gives a later segment the id of another.
    """

    host_tasks = ("instance",)  # transformers makes its map on the CPU, and indexes it by masks that aren't there

    def arguments(self, threshold: dict[str, float]) -> dict[str, dict[str, Any]]:
        return {
            "semantic": {},
            "instance": {"threshold": 0.0, "return_binary_maps": True, **threshold},
            "panoptic": {"label_ids_to_fuse": set(), **threshold},
        }


class OneFormerRival(Rival):
    """OneFormer, which is given the task as text. One checkpoint is of all tasks, so that it has all classes in each of them."""

    def processor_class(self) -> type:
        return transformers.AutoProcessor

    def load_processor(self, checkpoint: str) -> Any:
        processor = super().load_processor(checkpoint)
        if len({tuple(processor.tokenizer(f"the task is {name}")["input_ids"]) for name in TASK_NAMES}) < len(TASK_NAMES):
            raise ValueError(  # transformers makes an empty tokenizer where the vocabulary is missing
                f"checkpoint={checkpoint!r} has a tokenizer that doesn't tell tasks apart; give a checkpoint with its vocabulary"
            )
        return processor

    def of_images_alone(self, processor: Any, task: Task) -> Callable[..., Mapping[str, Any]]:
        return partial(processor, task_inputs=[task.name])

    def check_classes(self, names: list[str], task: Task, labels: Labels, checkpoint: str) -> dict[int, int]:
        check_classes(names, labels.names, checkpoint)
        kept = task.labels(Labels([str(index) for index in range(len(labels))], labels.isthing)).names
        return {int(index): number for number, index in enumerate(kept)}

    def arguments(self, threshold: dict[str, float]) -> dict[str, dict[str, Any]]:
        # instances lie in one map, where those of low scores would take pixels from others: the default threshold stays
        return {"semantic": {}, "instance": threshold, "panoptic": {"label_ids_to_fuse": set(), **threshold}}


class StockEomt(Rival):
    """EoMT as in transformers, which the Auto classes no longer give once this package has registered its own."""

    model_classes = {"eomt": "EomtForUniversalSegmentation", "eomt_dinov3": "EomtDinov3ForUniversalSegmentation"}

    def model_class(self, model_type: str) -> type:
        return getattr(transformers, self.model_classes[model_type])

    def processor_class(self) -> type:
        return transformers.EomtImageProcessor

    def arguments(self, threshold: dict[str, float]) -> dict[str, dict[str, Any]]:
        # instances lie in one map, where those of low scores would take pixels from others: the default threshold stays
        return {"semantic": {}, "instance": threshold, "panoptic": {"stuff_classes": sorted(self.stuff), **threshold}}


RIVALS: dict[str, type[Rival]] = {  # by model_type
    "mask2former": MaskFormerRival,
    "maskformer": MaskFormerRival,
    "oneformer": OneFormerRival,
}
STOCK: dict[str, type[Rival]] = dict.fromkeys(StockEomt.model_classes, StockEomt)


def rival_class(config: PreTrainedConfig, options: ScoreOptions, checkpoint: str) -> type[Rival] | None:
    """The rival that a checkpoint is of, None for a model that this package runs.

    Args:
        config: of the checkpoint.
        options: say whose code runs a checkpoint that both can run.
        checkpoint: for error messages.

    Raises:
        ValueError: the model can't be scored, or an option is given that transformers' models don't have here.
    """
    if isinstance(config, EomtBaseConfig) and options.implementation == "eomt":
        return None
    rivals = STOCK | RIVALS
    if config.model_type not in rivals:
        raise ValueError(
            f"checkpoint={checkpoint!r} is a {config.model_type} model; this package runs EoMT, and transformers "
            f"{', '.join(rivals)}. Give one of these"
        )
    defaults = {field.name: field.default for field in fields(options)}
    for name in OURS_ALONE:
        if (value := getattr(options, name)) != defaults[name]:
            raise ValueError(f"{name}={value!r} is for this package's models, but transformers runs {checkpoint!r}; leave it out")
    if given := given_views(options):
        raise ValueError(f"{given} is for this package's models, but transformers runs {checkpoint!r}; leave it out")
    return rivals[config.model_type]
