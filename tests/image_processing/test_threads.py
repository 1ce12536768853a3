"""Post-processing works in threads that don't share steps, with the same results, and leaves the number of threads as it was."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from eomt import EomtImageProcessor
from eomt.image_processing.threads import one_thread, side_by_side
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


def test_calls_that_overlap_in_two_threads_leave_the_number_as_it_was(three_threads):
    """The second begins within the first, whose 1 it finds, and ends after it."""
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))

    def first():
        with one_thread():
            first_began.set()
            assert second_began.wait(60)
        return torch.get_num_threads()

    def second():
        assert first_began.wait(60)
        with one_thread():
            second_began.set()
            assert first_ended.wait(60)
            with one_thread():
                pass
            assert torch.get_num_threads() == 1
        return torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        ends = pool.submit(first), pool.submit(second)
        counts = [ends[0].result()]
        first_ended.set()
        counts.append(ends[1].result())
    with ThreadPoolExecutor(1) as pool:
        counts.append(pool.submit(torch.get_num_threads).result())
    assert counts == [3, 3, 3] and torch.get_num_threads() == 3


def test_a_thread_that_begins_within_anothers_call_works_in_as_many_threads_as_ever(three_threads):
    with one_thread(), ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(side_by_side, list, range(10), torch.device("cpu")).result()) == 3
        assert len(side_by_side(list, range(10), torch.device("cpu"))) == 1  # in the call's own thread
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


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_the_work_is_cut_into_runs_in_order_each_alone_in_its_thread(three_threads, count):
    def work(run):
        return list(run), threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()

    with torch.no_grad():
        runs, threads, counts, with_grad = zip(*side_by_side(work, range(count), torch.device("cpu")), strict=True)
    assert [item for run in runs for item in run] == list(range(count)) and len(runs) == max(1, min(3, count))
    assert len(runs) == 1 or max(map(len, runs)) - min(map(len, runs)) <= 1
    assert set(counts) == {1} and set(with_grad) == {False} and torch.get_num_threads() == 3
    assert len(runs) == 1 or threading.get_ident() not in threads


def test_an_accelerator_gets_the_work_in_one_piece_and_an_error_comes_through(three_threads):
    assert side_by_side(list, range(5), torch.device("meta")) == [[0, 1, 2, 3, 4]]
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda run: 1 // (run[0] - 3), range(10), torch.device("cpu"))
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("task", ["panoptic", "instance", "semantic"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_results_don_t_depend_on_the_number_of_threads(three_threads, task, mode):
    """Of queries with equal masks and scores and different classes the first has to win, also where another thread has it."""
    masks = torch.randn(1, 9, 16, 16, generator=torch.Generator().manual_seed(0)).repeat(1, 2, 1, 1) * 3
    labels = torch.tensor([*range(9), *range(1, 10)]) % 4
    classes = torch.zeros(1, 18, 5).scatter_(2, labels[None, :, None], 40.0)  # probabilities of exactly 1
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        with mode():
            outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes)
            options = {
                "semantic": {},
                "instance": {"threshold": 0.2},
                "panoptic": {"threshold": 0.2, "overlap_mask_area_threshold": 0.0},
            }[task]
            results += getattr(processor, f"post_process_{task}_segmentation")(outputs, target_sizes=[(75, 61)], **options)
    maps = [result if task == "semantic" else result["segmentation"] for result in results]
    assert maps[0].unique().numel() > 3 and all(map_.equal(maps[0]) for map_ in maps)
    assert task == "semantic" or all(result["segments_info"] == results[0]["segments_info"] for result in results)
