"""What scoring costs beside the forward pass, in time and in memory, for each task.

    python benchmarks/scoring_cost.py                          both
    python benchmarks/scoring_cost.py --peak panoptic          peak memory of one process, MB; forward alone with --forward_only

Time: a ViT-S EoMT at 640 pixels with random weights, float32, 2 threads, an image of 640 x 480, the least of several runs. Memory:
the peaks of two processes, one that runs a small model of 200 queries at 640 pixels, and one that also preprocesses,
post-processes and scores an image of 4000 x 3000. Since random weights find nothing, post-processing gets those
of `made_up.py`.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from made_up import QUERIES, made_up_logits
from torch import Tensor

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.image_processing.defaults import THRESHOLD
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.inference import SCORE_TOLERANCE, images_of, predictions
from eomt.train_scripts.evaluation.tasks import TASKS, task_of

SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, num_blocks=3)  # ViT-S
TINY = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1)
SIDE, SEGMENTS = 640, 14
RUNS = 7


class OneImage(list):
    """A stream of one example."""

    share = 1


def example_labels(num_classes: int) -> Labels:
    """As in COCO, three classes of five are things."""
    return Labels([f"class {i}" for i in range(num_classes)], [i % 5 < 3 for i in range(num_classes)])


def example_sample(height: int, width: int, labels: Labels) -> Sample:
    """An image with a segment around each of some points, and nothing void."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, SEGMENTS, (4, 6), generator=generator)
    cells.view(-1)[:SEGMENTS] = torch.arange(SEGMENTS)
    rows, cols = torch.arange(height) * 4 // height, torch.arange(width) * 6 // width
    id_map = (cells[rows][:, cols] + 1).int()
    image = torch.randint(0, 255, (3, height, width), dtype=torch.uint8, generator=generator)
    classes = torch.arange(SEGMENTS) * 7 % len(labels)
    return Sample("0", image, id_map, torch.arange(SEGMENTS) + 1, classes, torch.zeros(SEGMENTS, dtype=torch.bool))


def build_model(sizes: dict, num_classes: int) -> EomtForUniversalSegmentation:
    names = {i: str(i) for i in range(num_classes)}
    model = EomtForUniversalSegmentation(EomtConfig(**sizes, image_size=SIDE, num_queries=QUERIES, id2label=names)).eval()
    model.set_attn_mask_probs([0.0] * model.config.num_blocks)
    return model


def least(*calls: Callable[[], object]) -> list[float]:
    """Milliseconds of the fastest run of each; they take turns, so that all meet the same other load of the machine."""
    times = [[] for _ in calls]
    for _ in range(RUNS):
        for timings, call in zip(times, calls, strict=True):
            start = time.perf_counter()
            call()
            timings.append(time.perf_counter() - start)
    return [1000 * min(timings) for timings in times]


def task_times(task: str, num_classes: int) -> list[float]:
    """Milliseconds of the forward pass, of post-processing, and of adding the image to the metric."""
    every = example_labels(num_classes)
    labels = task_of(task).labels(every)
    processor, sample = task_of(task).processor(SIDE, labels), task_of(task).sample(example_sample(480, 640, every), every)
    batch = collate_evaluation([{**processor(images=[sample.image], return_tensors="pt"), "sample": sample}])
    pixels, model, metric = batch["pixel_values"], build_model(SMALL, len(labels)), task_of(task).metric(labels)
    masks, classes = made_up_logits(len(pixels), len(labels))
    outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes)
    outputs = next(images_of(outputs, batch))
    result = task_of(task).result(processor, outputs, (480, 640), THRESHOLD, SCORE_TOLERANCE)

    def add() -> None:
        metric.reset()
        metric.add_batch(predictions=[result], references=[sample])

    with torch.inference_mode():
        return least(
            lambda: model(pixel_values=pixels),
            lambda: task_of(task).result(processor, outputs, (480, 640), THRESHOLD, SCORE_TOLERANCE),
            add,
        )


def print_times(num_classes: int) -> None:
    torch.set_num_threads(2)
    print(f"640 x 480, {QUERIES} queries, {num_classes} classes; milliseconds")
    print(f"{'':<10}{'forward':>10}{'post':>10}{'metric':>10}{'ratio':>10}")
    for task in TASKS:
        forward, post, metric = task_times(task, num_classes)
        print(f"{task:<10}{forward:>10.0f}{post:>10.1f}{metric:>10.1f}{(post + metric) / forward:>10.3f}")


class Pretender(EomtForUniversalSegmentation):
    """Runs as it is, but gives the logits of [`made_up_logits`]."""

    def forward(self, pixel_values: Tensor, **kwargs):
        outputs = super().forward(pixel_values, **kwargs)
        outputs.masks_queries_logits, outputs.class_queries_logits = made_up_logits(len(pixel_values), self.config.num_labels)
        return outputs


def print_peak(task: str, num_classes: int, forward_only: bool) -> None:
    """Runs the small model, and unless `forward_only` predicts and scores; prints this process's peak memory in MB."""
    torch.set_num_threads(1)
    every = example_labels(num_classes)
    labels = task_of(task).labels(every)
    model = build_model(TINY, len(labels))
    processor, metric = task_of(task).processor(SIDE, labels), task_of(task).metric(labels)
    with torch.inference_mode():
        model(pixel_values=torch.zeros(2 if task == "semantic" else 1, 3, SIDE, SIDE))
    if not forward_only:
        model.__class__ = Pretender
        sample = task_of(task).sample(example_sample(3000, 4000, every), every)
        stream = OneImage([{**processor(images=[sample.image], return_tensors="pt"), "sample": sample}])
        del sample
        for sample, result in predictions(model, processor, stream, task_of(task), batch_size=1, show_progress=False):
            metric.add_batch(predictions=[result], references=[sample])
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def added_peak(task: str, num_classes: int) -> tuple[float, float]:
    """Peak memory of the model alone, and what predicting and scoring add, MB."""
    command = [sys.executable, __file__, "--peak", task, "--classes", str(num_classes)]
    alone, both = (
        float(subprocess.run([*command, *more], check=True, capture_output=True, text=True).stdout)
        for more in (["--forward_only"], [])
    )
    return alone, both - alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=133, help="of the dataset")
    parser.add_argument("--peak", choices=TASKS, help="print the peak memory of this task and stop")
    parser.add_argument("--forward_only", action="store_true", help="with --peak: the model alone")
    args = parser.parse_args()
    if args.peak:
        print_peak(args.peak, args.classes, args.forward_only)
        return
    print_times(args.classes)
    print(f"\n4000 x 3000, {QUERIES} queries, {args.classes} classes; MB")
    print(f"{'':<10}{'model':>10}{'added':>10}")
    for task in TASKS:
        alone, added = added_peak(task, args.classes)
        print(f"{task:<10}{alone:>10.0f}{added:>10.0f}")


if __name__ == "__main__":
    main()
