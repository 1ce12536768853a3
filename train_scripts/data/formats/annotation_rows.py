"""The row of an image whose annotations are read one by one, each to a mask, its class and whether it is a crowd.

Shapes: H, W pixels.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.formats.annotation_frames import Frame
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.segment_rows import row_of_masks

Segment = tuple[dict | None, int, bool]  # mask in the frame, None without a pixel; class index; crowd


def row_of_annotations(
    image_id: str,
    image: Path | dict,
    frame: Frame,
    annotations: Iterable[Any],
    read: Callable[[Any], Segment],
    notes: AnnotationNotes,
) -> dict:
    """
    Args:
        image_id, image: name and file of the image, or the file's content as a row stores it.
        frame: what the annotations count.
        annotations: one for each segment.
        read: annotation -> segment. It raises `BadAnnotation`, or adds to `notes.faults` what it can't use.
        notes: of the image.

    Returns:
        A row, and in it, which are no columns, `dropped`, how many masks had no pixel; `faults` and `repaired` of `notes`.
    """
    segments = []
    for annotation in annotations:
        known = len(notes.faults)
        try:
            mask, category, crowd = read(annotation)
        except BadAnnotation as fault:
            notes.faults.append(fault)
            continue
        if mask is not None or len(notes.faults) == known:
            segments.append((mask and frame.upright(mask), category, crowd))
    masks, categories, crowds = zip(*segments, strict=True) if segments else ((), (), ())
    size = frame.upright_size
    row = row_of_masks(image_id, image, size, masks, categories, crowds)
    return {**row, "faults": notes.faults, "repaired": notes.counts()}
