"""What a reader notes of the annotations of an image that it can't take as they are.

An annotation with a fault is left out: a box without a polygon, a polygon of two points. A run with bad_samples "raise" stops
at it, one with "skip" counts it and keeps its image. A repair changes nothing that the annotation says, and is only counted.
"""

from collections import Counter
from dataclasses import dataclass, field

from eomt.train_scripts.data.bad_sample import BadSample


class BadAnnotation(BadSample):
    """One annotation can't be used. The message names the file, the annotation and the reason.

    Args:
        message: a sentence.
        kind: of fault, as the report counts it.
    """

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


def form_fault(error: Exception) -> str:
    """What a foreign error says about content that has not its format's form, as the end of a sentence."""
    if isinstance(error, KeyError):
        return f"an entry lacks {error}"
    return f"an entry has not the type that it should have ({error})"


@dataclass
class AnnotationNotes:
    """Of one image, or of annotations that belong to none."""

    faults: list[BadAnnotation] = field(default_factory=list)
    repaired: Counter = field(default_factory=Counter)  # what was changed in reading: how often, perhaps 0

    def counts(self) -> dict[str, int]:
        """{what was changed: how often} of what was."""
        return {kind: count for kind, count in self.repaired.items() if count}
