"""Smaller crops at the start of a training, whose steps are faster (progressive resizing)."""

from dataclasses import dataclass
from typing import Any

from eomt.image_processing.smaller_crops import with_smaller_crops

SHARE = 0.5  # of the training, by default


@dataclass(frozen=True)
class StartSize:
    """
    The side of crops in the first part of a training.

    What is seen of an image doesn't change, the number of pixels alone: each crop is cut at its full size and then resized. So it
    is a function of progress, and a resumed run goes on with the same crops.

    Args:
        side: pixels, a multiple of the patch size, less than the full size.
        share: of the training, in progress.
    """

    side: int
    share: float

    def of(self, batch: dict[str, Any], progress: float) -> dict[str, Any]:
        """The batch that is trained on at a progress in [0, 1]; `batch` is one of [`TrainingCollator`]."""
        return with_smaller_crops(batch, self.side) if progress < self.share else batch


def check_start_size(side: int | None, share: float, image_size: int) -> None:
    """Raises ValueError for crops that can't be smaller at the start, or for a share that has no effect."""
    if side is None:
        if share != SHARE:
            raise ValueError(f"start_share={share} has no effect without start_image_size; give that, or leave start_share out")
        return
    if not 0 < side < image_size:
        raise ValueError(
            f"start_image_size={side} must be positive and less than image_size={image_size}; leave it out for crops of one size"
        )
    if not 0 < share < 1:
        raise ValueError(f"start_share={share} must lie between 0 and 1: the share of the training that has smaller crops")
