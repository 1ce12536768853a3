"""Scores predictions by the rules of the BRAVO challenge (Vu et al., ECCV workshops 2024), whose truth is not public.

- mIoU is over all valid pixels: neither void nor marked as invalid.
- Curves and calibration are over at most 100,000 pixels an image that aren't void, chosen at random but always the same.
- Semantic reliability is how well confidence tells right from wrong, on valid ones of these. The ability to find objects of unknown
  classes, which are the invalid pixels, is scored on two subsets alone.

Shapes: H, W pixels of an image, n of these that are sampled.
"""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from eomt.train_scripts.data.bravo_tree import CLASS_NAMES, FOLDERS, SUBSETS, VOID, BravoImage, Subset, bravo_images
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.data.formats.index_images import read_indices
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.bravo_options import BravoOptions
from eomt.train_scripts.metrics.anomaly_detection import AnomalyDetection
from eomt.train_scripts.metrics.confidence_reliability import ConfidenceReliability
from eomt.train_scripts.metrics.mean_iou import MeanIoU

SAMPLES, SEED = 100_000, 1  # of the challenge's sampling, anew for each image
SEMANTIC = ("auroc", "auprc_success", "auprc_error", "fpr95", "ece")
UNKNOWN = ("auroc_ood", "auprc_ood", "fpr95_ood")
ERRORS = ("fpr95", "ece", "fpr95_ood")  # of which less is better: 100 less them goes into means

Scores = dict[str, float | None]


@takes_options(BravoOptions)
def score_bravo(options: BravoOptions) -> dict[str, Scores]:
    """Scores the subsets that the truth has.

    Returns:
        In percent, by subset and for `all`: see [`subset_scores`] and [`overall_scores`].

    Raises:
        ValueError: the truth has no subset, a file is missing, or one doesn't fit its image.
    """
    truth, predictions = Path(options.truth), Path(options.predictions)
    images = {subset: list(bravo_images(subset, truth, predictions)) for subset in SUBSETS}
    if not any(images.values()):
        raise ValueError(f"truth={options.truth!r} has labels in none of {', '.join(FOLDERS)}; give the folder that these are in")
    scores = {subset.name: subset_scores(subset, files) for subset, files in images.items() if files}
    scores["all"] = overall_scores(scores)
    if options.output:
        Path(options.output).parent.mkdir(parents=True, exist_ok=True)
        Path(options.output).write_text(json.dumps(scores, indent=1))
    return scores


def subset_scores(subset: Subset, images: Iterable[BravoImage]) -> Scores:
    """`miou`, `auroc`, `auprc_success`, `auprc_error`, `fpr95` and `ece` of classes, `auroc_ood`, `auprc_ood` and `fpr95_ood` of
    unknown objects, as far as the subset has them; and `mean`, the harmonic mean of all but mIoU, with 100 less each error."""
    miou, reliability, anomalies = MeanIoU(len(CLASS_NAMES)), ConfidenceReliability(VOID), AnomalyDetection(VOID)
    for files in tqdm(images, desc=subset.name, unit="image"):
        label, invalid, classes, levels = _read(files)
        label_if_valid = torch.where(invalid, VOID, label)
        chosen = sampled_pixels(label)
        if subset.of_classes:
            miou.add(classes, _sample(label_if_valid))
            prediction = {"segmentation": _at(classes, chosen), "confidence": _at(levels, chosen)}
            reliability.add(prediction, _at(label_if_valid, chosen))
        if subset.of_unknown:
            anomalies.add(_at(levels, chosen), _at(invalid.int(), chosen))
    scores = {}
    if subset.of_classes:
        scores |= {"miou": miou.compute()["miou"], **reliability.compute()}
    if subset.of_unknown:
        found = anomalies.compute()
        scores |= {name: found[name.removesuffix("_ood")] for name in UNKNOWN}
    scores["mean"] = harmonic_mean(_better(name, value) for name, value in scores.items() if name != "miou")
    return scores


def overall_scores(scores: Mapping[str, Scores]) -> Scores:
    """Harmonic means over subsets.

    Returns:
        Of each score by itself, over the subsets that have it; `semantic` and `ood`, over all scores of classes but mIoU, and over
        all of unknown objects, with 100 less each error; and `bravo_index`, the mean of these two, None unless all subsets are
        there.
    """

    def mean(*names: str) -> float | None:
        values = [_better(name, row[name]) for row in scores.values() for name in names if name in row]
        return harmonic_mean(values) if values else None

    overall = {name: _better(name, mean(name)) for name in ("miou", *SEMANTIC, *UNKNOWN)}
    overall |= {"semantic": mean(*SEMANTIC), "ood": mean(*UNKNOWN)}
    whole = len(scores) == len(SUBSETS)
    return {**overall, "bravo_index": harmonic_mean([overall["semantic"], overall["ood"]]) if whole else None}


def harmonic_mean(values: Iterable[float | None]) -> float | None:
    """None if a value is."""
    values = list(values)
    return None if None in values else statistics.harmonic_mean(values)


def _better(name: str, value: float | None) -> float | None:
    """A score of which more is better: an error from 100, and back."""
    return 100 - value if name in ERRORS and value is not None else value


def sampled_pixels(label: Tensor) -> Tensor:
    """(n,) flat indices, in increasing order, of the pixels of an (H, W) label that curves are made of."""
    known = np.flatnonzero(label.numpy() != VOID)
    if len(known) > SAMPLES:
        known = np.sort(np.random.RandomState(SEED).choice(known, SAMPLES, replace=False))
    return torch.from_numpy(known)


def _read(files: BravoImage) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Label, whether a pixel is invalid, predicted class, and level of confidence, (H, W) each."""
    label, invalid, classes = (torch.from_numpy(read_indices(path)) for path in (files.label, files.invalid, files.prediction))
    with Image.open(files.confidence) as image:
        if not image.mode.startswith("I"):
            raise ValueError(f"{files.confidence} has the mode {image.mode}, but confidence is grey of 16 bits, 0 to 65535")
        levels = torch.from_numpy(np.asarray(image).astype(np.int32))
    for path, found in ((files.invalid, invalid), (files.prediction, classes), (files.confidence, levels)):
        if found.shape != label.shape:
            raise ValueError(f"{path} has {tuple(found.shape)} pixels (height, width), but its label {tuple(label.shape)}")
    classes = torch.where(label == VOID, -1, classes)  # there any class will do
    if classes.max() >= len(CLASS_NAMES):
        raise ValueError(f"{files.prediction} has the class {classes.max().item()}; allowed are 0..{len(CLASS_NAMES) - 1}")
    return label, invalid != 0, classes, levels


def _sample(label: Tensor) -> Sample:
    """A label as the truth of one image, a segment a class."""
    classes = label.unique()
    classes = classes[classes != VOID]
    return Sample("", None, label, classes, classes, torch.zeros(len(classes), dtype=torch.bool))


def _at(values: Tensor, chosen: Tensor) -> Tensor:
    """(H, W) -> (1, n)."""
    return values.flatten()[chosen][None]
