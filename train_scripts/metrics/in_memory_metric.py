"""What the metrics have in common: `evaluate`'s interface over a small state in memory instead of stored predictions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import datasets
import evaluate

INTEGERS = datasets.List(datasets.Value("int64"))
MAP = datasets.List(INTEGERS)  # (H, W)
REFERENCE = {  # the fields of a `Sample` that metrics read; an object with others beside them will do
    "image_id": datasets.Value("string"),
    "id_map": MAP,
    "segment_ids": INTEGERS,
    "class_labels": INTEGERS,
    "is_crowd": datasets.List(datasets.Value("bool")),
}


class InMemoryMetric(evaluate.Metric, ABC):
    """
    A metric that reduces each image to a few numbers as it is added, in its `state`.

    Processes score their own images and join what they have; the result is the same to the last bit however the images were
    shared out:

        metric.merge(gather_object([metric.state]))

    A module that defines a metric can be given to `evaluate.load` by its path, with the constructor's arguments by name.

    Args:
        kwargs: `evaluate.Metric`'s; those about caches and processes have no effect.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forgets all images."""

    @abstractmethod
    def add(self, prediction, reference) -> None:
        """Scores an image."""

    @abstractmethod
    def merge(self, states: Sequence) -> None:
        """Puts the joint state of all processes in the place of this metric's own, whose state must be among `states`."""

    def add_batch(self, predictions: Sequence, references: Sequence) -> None:
        """Scores images: as many predictions as references, each as `add` takes it."""
        if len(predictions) != len(references):
            raise ValueError(
                f"predictions has {len(predictions)} entries, but references {len(references)}. Give one of each an image."
            )
        for prediction, reference in zip(predictions, references, strict=True):
            self.add(prediction, reference)

    def compute(self, predictions: Sequence | None = None, references: Sequence | None = None) -> dict:
        """The scores of all images since the last call, these included; the next image starts anew, as `evaluate` has it."""
        if predictions is not None or references is not None:
            self.add_batch(() if predictions is None else predictions, () if references is None else references)
        scores = self._compute()
        self.reset()
        return scores

    def _build_data_dir(self) -> str:
        return self._data_dir_root  # evaluate would make a folder there, for files that are never written
