"""What scoring adds to the memory of a forward pass."""

import pytest
import scoring_cost

from eomt.train_scripts.data.choices import TASK_NAMES


@pytest.mark.slow
@pytest.mark.parametrize("task", TASK_NAMES)
def test_200_queries_on_12_megapixels_add_less_than_300_mb(task):
    _, added = scoring_cost.added_peak(task, num_classes=133)
    assert added < 300
