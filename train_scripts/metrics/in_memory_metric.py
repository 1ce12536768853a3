"""What the metrics share: the interface of `evaluate` over a small state in memory, instead of stored predictions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import datasets
import evaluate

INTEGERS = datasets.List(datasets.Value("int64"))
MAP = datasets.List(INTEGERS)  # (H, W)
REFERENCE = {  # the fields of a `Sample` that metrics read; objects with more fields are accepted
    "image_id": datasets.Value("string"),
    "id_map": MAP,
    "segment_ids": INTEGERS,
    "class_labels": INTEGERS,
    "is_crowd": datasets.List(datasets.Value("bool")),
}


class InMemoryMetric(evaluate.Metric, ABC):
    """
    A metric that reduces each image to a few numbers in its `state`, as the image is added.

    With several processes, each scores its own images, and the states are merged. The result is the same to the last bit,
    however the images were shared out:

        metric.merge(gather_object([metric.state]))

    `evaluate.load` takes the path of a module that defines a metric, and the constructor's arguments by name.

    Args:
        kwargs: `evaluate.Metric`'s. Those about caches and processes have no effect.
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
        """Replaces this metric's state by the joint state of all processes. `states` must include this metric's."""

    def add_batch(self, predictions: Sequence, references: Sequence) -> None:
        """Scores images.

        Args:
            predictions, references: one of each for an image, as `add` takes them.

        Raises:
            ValueError: they differ in number, or `add` refuses one.
        """
        if len(predictions) != len(references):
            raise ValueError(
                f"predictions has {len(predictions)} entries, but references {len(references)}. Give one of each an image."
            )
        for prediction, reference in zip(predictions, references, strict=True):
            self.add(prediction, reference)

    def compute(self, predictions: Sequence | None = None, references: Sequence | None = None) -> dict:
        """The scores of all images added since the last call and of those given here. Then forgets them, as `evaluate` does."""
        if predictions is not None or references is not None:
            self.add_batch(() if predictions is None else predictions, () if references is None else references)
        scores = self._compute()
        self.reset()
        return scores

    def _build_data_dir(self) -> str:
        return self._data_dir_root  # evaluate would make a folder there, for files that are never written
