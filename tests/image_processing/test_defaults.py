"""The default thresholds stand once, and are transformers'."""

import inspect

import pytest
import transformers

from eomt import EomtImageProcessor
from eomt.image_processing.defaults import MASK_THRESHOLD, OVERLAP_MASK_AREA_THRESHOLD, THRESHOLD

CONSTANTS = {
    "threshold": THRESHOLD,
    "mask_threshold": MASK_THRESHOLD,
    "overlap_mask_area_threshold": OVERLAP_MASK_AREA_THRESHOLD,
}


@pytest.mark.parametrize(("task", "names"), [("panoptic", list(CONSTANTS)), ("instance", ["threshold"])])
def test_thresholds_are_stocks(task, names):
    name = f"post_process_{task}_segmentation"
    ours, stock = (
        inspect.signature(getattr(cls, name)).parameters for cls in (EomtImageProcessor, transformers.EomtImageProcessor)
    )
    for threshold in names:
        assert ours[threshold].default == stock[threshold].default == CONSTANTS[threshold]
