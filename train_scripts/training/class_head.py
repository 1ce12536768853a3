"""Which rows of a checkpoint's class head a dataset can use: a row belongs to a class by its name, not by its place."""

from collections.abc import Sequence

import torch
from transformers.utils import logging

from eomt.mask_classifier import MaskClassifier

logger = logging.get_logger(__name__)


@torch.no_grad()
def fit_class_head(model: MaskClassifier, stored: Sequence[str]) -> None:
    """Makes a loaded class head that of the classes in `model.config.id2label`.

    The same names keep their rows, put in order where they come in another one. Otherwise the whole head is new: rows of
    other classes would be a wrong start, and a few known ones among new ones would not learn at one rate.

    Args:
        model: loaded with the configuration of the dataset; a head of another size is new already.
        stored: the checkpoint's names in the order of its rows.
    """
    names, stored = [model.config.id2label[index] for index in range(model.config.num_labels)], list(stored)
    if names == stored:
        return
    head = model.class_predictor
    if sorted(names) == sorted(stored) and len(set(stored)) == len(stored):
        rows = [*(stored.index(name) for name in names), len(stored)]  # the no-object class stays last
        head.weight.copy_(head.weight[rows])
        head.bias.copy_(head.bias[rows])
        logger.warning(f"class head: the checkpoint has the same {len(names)} classes in another order; its rows are put in order")
        return
    model.renew_class_predictor()
    logger.warning(f"class head: new, since the data has other classes ({_shown(names)}) than the checkpoint ({_shown(stored)})")


def _shown(names: Sequence[str]) -> str:
    return f"{len(names)}: " + ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])
