"""The tree of the BRAVO challenge: its subsets, and where the truth and the prediction of an image lie.

Source: Vu et al., "The BRAVO Semantic Segmentation Challenge Results in UNCV2024", ECCV workshops 2024, and its toolkit. Classes
are Cityscapes' 19, by their numbers in training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eomt.train_scripts.data.formats.cityscapes import CLASSES
from eomt.train_scripts.data.formats.image_files import walk

CLASS_NAMES = tuple(CLASSES.values())
VOID = 255  # in labels
PREDICTION_END, CONFIDENCE_END = "_pred.png", "_conf.png"  # of submissions, after the image's stem


@dataclass(frozen=True)
class Subset:
    """A part of the benchmark, which is scored by itself.

    Args:
        name: as in the challenge's results.
        folder: of the tree.
        weather: the subset is what lies in folders of this name; None for the whole folder.
        label_end, invalid_end: by which the names of labels, and of masks of invalid pixels, end in place of `image_end`.
        image_end: by which the stems of images end.
        of_classes: whether predicted classes and the confidence in them are scored.
        of_unknown: whether invalid pixels are objects of unknown classes, which the confidence has to find.
    """

    name: str
    folder: str
    weather: str | None = None
    label_end: str = "_gt_labelTrainIds.png"
    invalid_end: str = "_gt_invIds.png"
    image_end: str = "_leftImg8bit"
    of_classes: bool = True
    of_unknown: bool = False


SUBSETS = (
    *(Subset(f"ACDC{weather}", "bravo_ACDC", weather, image_end="_rgb_anon") for weather in ("fog", "rain", "night", "snow")),
    Subset("synrain", "bravo_synrain"),
    Subset("synflare", "bravo_synflare"),
    Subset("outofcontext", "bravo_outofcontext"),
    Subset("synobjs", "bravo_synobjs", None, "_gt.png", "_mask.png", "", of_unknown=True),
    Subset("SMIYC", "bravo_SMIYC", None, "_labels_semantic_fake.png", "_labels_semantic.png", "", False, of_unknown=True),
)
FOLDERS = tuple(dict.fromkeys(subset.folder for subset in SUBSETS))


@dataclass(frozen=True)
class BravoImage:
    """The files of an image: label, mask of invalid pixels, predicted classes and confidence."""

    label: Path
    invalid: Path
    prediction: Path
    confidence: Path


def bravo_images(subset: Subset, truth: Path, predictions: Path) -> Iterator[BravoImage]:
    """The images of a subset, by its labels; none if the truth lacks the subset.

    Raises:
        ValueError: a file of an image is missing.
    """
    for label in walk(truth / subset.folder):
        if not label.name.endswith(subset.label_end):
            continue
        below = label.relative_to(truth).as_posix()
        if subset.weather is not None and subset.weather not in Path(below).parts:
            continue
        stem = below.removesuffix(subset.label_end)
        base = predictions / f"{stem}{subset.image_end}"
        image = BravoImage(
            label,
            truth / f"{stem}{subset.invalid_end}",
            base.with_name(base.name + PREDICTION_END),
            base.with_name(base.name + CONFIDENCE_END),
        )
        if not image.invalid.is_file():
            raise ValueError(f"truth={truth}: {label} has no mask of invalid pixels, {image.invalid.name}, beside it")
        for path in (image.prediction, image.confidence):
            if not path.is_file():
                raise ValueError(f"predictions={predictions} has no {path.relative_to(predictions)}, which {label} is the truth of")
        yield image
