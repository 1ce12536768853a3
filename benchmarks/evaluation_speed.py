"""How many images a second scoring does, beside what the forward pass alone allows.

    python benchmarks/evaluation_speed.py --checkpoint outputs/demo/model --data outputs/demo/scenes --task panoptic

The same images, in the same batches, go through `eomt score`'s own steps: read, made ready, forward pass, post-processing, metric.
Forward passes alone get batches that were made ready before. The two take turns; figures are medians, and the first pass of each is
left out.
"""

import argparse
import time
from collections.abc import Iterator

import torch
from timing import machine_name, timed
from torch.utils.data import DataLoader

from eomt.train_scripts.data.choices import TASK_NAMES
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation, evaluation_stream
from eomt.train_scripts.evaluation.inference import score_predictions
from eomt.train_scripts.evaluation.inference_options import ScoreOptions
from eomt.train_scripts.evaluation.scoring import load_segmenter
from eomt.train_scripts.evaluation.tasks import task_of

BAR = 0.8  # of the forward pass's images a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="a trained EoMT")
    parser.add_argument("--data", required=True, help="a prepared dataset with the model's classes")
    parser.add_argument("--split", default="val")
    parser.add_argument("--task", default="panoptic", choices=TASK_NAMES)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cpu = torch.device("cpu")
    options = ScoreOptions(args.checkpoint, args.data, args.split, args.task, batch_size=args.batch_size)
    task, labels = task_of(args.task), read_labels(args.data)
    segmenter = load_segmenter(options, task, labels, cpu, torch.float32)
    stream = evaluation_stream(args.data, args.split, segmenter.processor, transform=task.sample)
    metric = task.metric(task.labels(labels))
    batches = [batch["pixel_values"] for batch in DataLoader(stream, batch_size=args.batch_size, collate_fn=collate_evaluation)]

    @torch.no_grad()
    def forward() -> None:
        for pixel_values in batches:
            segmenter.model(pixel_values=pixel_values)

    def score() -> None:
        score_predictions(segmenter.predictions(stream, show_progress=False), metric)

    seconds = timed({"forward passes alone": forward, "scoring": score}, args.repeats, cpu, warmups=1)
    print(f"{len(stream)} images in batches of {args.batch_size}, {machine_name(cpu)}")
    for name, value in seconds.items():
        print(f"{name}: {len(stream) / value:.1f} images/s")
    share = seconds["forward passes alone"] / seconds["scoring"]
    print(f"scoring does {share:.2f} of the forward pass's images/s, bar of {BAR} {'met' if share >= BAR else 'not met'}")
    read = time_of(iter(stream))
    added = time_of(segmenter.predictions(stream, show_progress=False))
    print(f"reading and making ready takes {read / seconds['scoring']:.2f} of scoring, ", end="")
    print(f"post-processing {(added - read - seconds['forward passes alone']) / seconds['scoring']:.2f}, ", end="")
    print(f"the metric {1 - added / seconds['scoring']:.2f}")


def time_of(items: Iterator) -> float:
    """Seconds until all are made."""
    start = time.perf_counter()
    for _ in items:
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
