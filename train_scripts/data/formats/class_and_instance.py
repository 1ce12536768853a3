"""Each pixel's class and number of the instance, as two maps, become segments.

The class decides, and the number separates the objects of a class: numbers may begin anew in each class. Stuff needs no number.

Shapes: H, W pixels.
"""

import numpy as np

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.class_values import ClassValues
from eomt.train_scripts.data.formats.segment_rows import encoded_ids

_FACTOR = 1 << 32  # numbers of instances are smaller


def segment_columns(
    values: np.ndarray, instances: np.ndarray, classes: ClassValues, source: str, background: int | None = None
) -> dict:
    """The columns `id_map` and `segments` of a row.

    Args:
        values: (H, W) of classes and void.
        instances: (H, W) numbers; 0 for none.
        classes: what the values stand for.
        source: begins error messages.
        background: a value that may lack numbers throughout. It is void there, unless it is stuff.

    Raises:
        BadSample: a value is unknown, the maps differ in size, or a class of things has no number in the image.
    """
    if values.shape != instances.shape:
        raise BadSample(f"{source}: the map of classes is {values.shape}, that of instances {instances.shape}. Give them one size.")
    indices = classes.indices(values, source)
    isthing = np.array([*classes.labels.isthing, False])[indices]  # the last entry serves void, -1
    numbers = np.where(isthing, instances, 0).astype(np.int64)
    _check_things(indices, numbers, classes, source, background)
    segments_of = (indices + 1) * _FACTOR + numbers
    segments_of[(indices < 0) | isthing & (numbers == 0)] = 0
    present, positions = np.unique(segments_of, return_inverse=True)
    if present[0] != 0:
        present, positions = np.array([0, *present]), positions + 1
    segments = [
        {"id": index, "category": int(key // _FACTOR) - 1, "iscrowd": False} for index, key in enumerate(present.tolist()) if index
    ]
    return {"id_map": encoded_ids(positions.reshape(values.shape)), "segments": segments}


def _check_things(indices: np.ndarray, numbers: np.ndarray, classes: ClassValues, source: str, background: int | None) -> None:
    """
    Raises:
        BadSample: a class of things is in the image, but none of its pixels has a number.
    """
    things = {index for index, isthing in enumerate(classes.labels.isthing) if isthing} - {classes.index_of.get(background)}
    present = things & set(np.unique(indices).tolist())
    if lost := sorted(present - set(np.unique(indices[numbers > 0]).tolist())):
        names = [classes.labels.names[index] for index in lost]
        raise BadSample(f"{source}: {names} have no instance, though they are things. Give them by stuff, or mend the instances.")
