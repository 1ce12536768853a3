"""Post-processing works in one thread, and leaves the number of threads as it was."""

import pytest
import torch

from eomt import EomtImageProcessor
from eomt.image_processing.threads import one_thread
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput


@pytest.fixture
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_one_within_and_as_many_as_before_after_it(three_threads):
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("task", ["panoptic", "instance", "semantic"])
def test_each_tasks_results_are_made_so(three_threads, task, monkeypatch):
    seen, sigmoid = [], torch.Tensor.sigmoid
    monkeypatch.setattr(torch.Tensor, "sigmoid", lambda self: seen.append(torch.get_num_threads()) or sigmoid(self))
    sigmoid_ = torch.Tensor.sigmoid_
    monkeypatch.setattr(torch.Tensor, "sigmoid_", lambda self: seen.append(torch.get_num_threads()) or sigmoid_(self))
    outputs = EomtForUniversalSegmentationOutput(
        masks_queries_logits=torch.full((1, 2, 16, 16), 5.0), class_queries_logits=torch.tensor([[[9.0, 0, 0], [0, 9.0, 0]]])
    )
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    getattr(processor, f"post_process_{task}_segmentation")(outputs, target_sizes=[(48, 64)])
    assert seen and set(seen) == {1} and torch.get_num_threads() == 3
