"""What the values of labels stand for: classes, or void."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.mask_classes import VOID, mask_classes
from eomt.train_scripts.data.formats.source import Options, thing_labels


@dataclass(frozen=True)
class ClassValues:
    """
    Args:
        labels: the classes.
        index_of: value -> class index.
        void: values that are no class.
        advice: what to do with other values.
    """

    labels: Labels
    index_of: dict[int, int]
    void: frozenset[int]
    advice: str = "Add them to classes or void, or mend it."

    def check(self, values: Collection[int], source: str) -> None:
        """
        Raises:
            BadSample: a value is neither a class nor void. The message begins with `source`.
        """
        if unknown := sorted(set(values) - self.index_of.keys() - self.void):
            raise BadSample(
                f"{source} has the values {unknown[:10]}; known are the classes {_ranges(self.index_of)} and void "
                f"{_ranges(self.void)}. {self.advice}"
            )

    def indices(self, values: np.ndarray, source: str) -> np.ndarray:
        """(H, W) values -> (H, W) class indices, -1 for void.

        Raises:
            BadSample: as [`check`].
        """
        present, positions = np.unique(values, return_inverse=True)
        self.check(present.tolist(), source)
        indices = np.array([self.index_of.get(value, -1) for value in present.tolist()], dtype=np.int64)
        return indices[positions.reshape(values.shape)]


def class_values(names: Mapping[int, str], void: Collection[int], stuff: Collection[str] | None) -> ClassValues:
    """
    Args:
        names: value -> name, of which several may be of one class. Those of void are left out.
        void: values that are no class.
        stuff: names of the classes that aren't things; None for all.

    Raises:
        ValueError: `stuff` has a name that isn't among the classes, or there is no class.
    """
    kept = {value: names[value] for value in sorted(names) if value not in void}
    index_of = {name: index for index, name in enumerate(dict.fromkeys(kept.values()))}
    labels = thing_labels(list(index_of), list(index_of) if stuff is None else list(stuff))
    return ClassValues(labels, {value: index_of[name] for value, name in kept.items()}, frozenset(void))


def given_values(options: Options) -> tuple[dict[int, str], set[int]]:
    """{value: name} of the classes in options, and the values that are void.

    Raises:
        ValueError: there are no names, or a value stands for two of them.
    """
    given = mask_classes(options)
    names = {value: given.names[index] for value, index in given.index_of.items() if index != VOID}
    return names, given.index_of.keys() - names.keys()


def _ranges(values: Collection[int]) -> str:
    """`0..149, 255`, or `none`."""
    parts = []
    for value in sorted(values):
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in parts) or "none"
