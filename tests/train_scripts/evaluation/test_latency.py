"""Timing: each image through all models in turn, warm-up left out, medians of three steps."""

import pytest
import torch

from eomt import EomtImageProcessor
from eomt.train_scripts.evaluation import latency
from eomt.train_scripts.evaluation.inference_options import ScoreOptions
from eomt.train_scripts.evaluation.latency import Latency, first_images, measure_latency
from eomt.train_scripts.evaluation.scoring import load_segmenter, score
from eomt.train_scripts.evaluation.segmenter import Segmenter
from eomt.train_scripts.evaluation.tasks import task_of


class Model(torch.nn.Linear):
    device = torch.device("cpu")


class Recorder(Segmenter):
    """Notes its calls in a list that several share. A step takes as many seconds of the shared clock as it is told."""

    model = Model(1, 1)
    threshold = None

    def __init__(self, name: str, calls: list, clock: list[float], seconds: tuple[float, float, float]):
        self.name, self.calls, self.clock, self.seconds = name, calls, clock, seconds

    def processor(self, images, return_tensors):
        self.calls.append((self.name, int(images[0][0, 0, 0])))
        self.clock[0] += self.seconds[0]
        return {"x": images[0]}

    def forward(self, inputs):
        self.clock[0] += self.seconds[1] * int(inputs["x"][0, 0, 0])
        return inputs["x"]

    def post_process(self, outputs, size):
        assert size == (2, 3)
        self.clock[0] += self.seconds[2]


def test_images_take_turns_and_the_first_ones_are_repeated_to_warm_up(monkeypatch):
    calls, clock = [], [0.0]
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    images = [torch.full((3, 2, 3), number, dtype=torch.uint8) for number in (9, 1, 2, 3, 4)]
    segmenters = {name: Recorder(name, calls, clock, seconds) for name, seconds in (("a", (1, 2, 3)), ("b", (0.5, 1, 0)))}
    measured = measure_latency(segmenters, images)
    assert calls == [(name, number) for number in (9, 1, 2, 9, 1, 2, 3, 4) for name in "ab"]
    assert measured["a"] == Latency(1000, 6000, 3000, 10000, images=5)
    assert measured["b"] == Latency(500, 3000, 0, 3500, images=5)
    assert measured["a"].as_dict()["images_per_second"] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="images is empty"):
        measure_latency(segmenters, [])


def test_an_image_of_too_many_windows_is_not_timed():
    recorder = Recorder("a", [], [0.0], (1, 1, 1))
    recorder.processor = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True, do_pad=False)
    with pytest.raises(ValueError, match="an image whose steps are timed is 5000 x 1 and needs 5000 windows"):
        measure_latency({"a": recorder}, [torch.zeros(3, 1, 5000, dtype=torch.uint8)])


def test_the_first_images_of_a_split(grid_data):
    assert [tuple(image.shape) for image in first_images(grid_data, "val", 2)] == [(3, 192, 768), (3, 768, 192)]
    assert len(first_images(grid_data, "val", 9)) == 3


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_what_is_timed_is_what_is_scored(rival_checkpoint, grid_data, grid_labels, task):
    """One image by its steps gives what the batches of scoring give, windows included."""
    chosen = dict(checkpoint=rival_checkpoint("eomt", task), data=grid_data, split="val", task=task, bf16=False)
    segmenter = load_segmenter(ScoreOptions(**chosen), task_of(task), grid_labels, torch.device("cpu"), torch.float32)
    stream = [
        {**segmenter.processor(images=[image], return_tensors="pt"), "sample": Image(image)}
        for image in first_images(grid_data, "val", 3)
    ]
    by_steps = [result for _, result in Segmenter.predictions(segmenter, stream, False)]
    by_batches = [result for _, result in segmenter.predictions(Stream(stream), False)]
    assert len(by_steps) == 3
    for one, other in zip(by_steps, by_batches, strict=True):
        if task == "semantic":
            assert torch.equal(one, other)
        elif task == "instance":
            assert one["rles"] == other["rles"] and torch.equal(one["scores"], other["scores"])
        else:
            assert torch.equal(one["segmentation"], other["segmentation"]) and one["segments_info"] == other["segments_info"]


class Image:
    def __init__(self, image: torch.Tensor):
        self.image = image


class Stream(list):
    share = None


def test_scores_have_size_and_latency(rival_checkpoint, grid_data):
    chosen = dict(checkpoint=rival_checkpoint("eomt", "panoptic"), data=grid_data, split="val", task="panoptic", bf16=False)
    plain, _ = score(**chosen)
    timed, _ = score(**chosen, latency=2)
    measured = timed.pop("latency")
    assert timed == plain and plain["parameters"] > 1000
    assert measured.pop("images") == 2 and len(measured) == 5 and min(measured.values()) > 0
