"""What an export gains and loses on a trained model: size, time of a forward pass beside PyTorch's, and score.

    python benchmarks/export.py --checkpoint outputs/token_merging/model --data outputs/token_merging/camvid --out outputs/export

Each photo goes through all rows, one after the other, so that what slows the machine slows all. A row's time is the median over
photos, its ratio the median of the photos' ratios to eager PyTorch. All are in float32 but for the 8-bit weights, and in as many
threads. Photos come in one shuffled order, since a video's frames are alike; the first ones are not counted. Scores are those of
`eomt score`, over the photos that were timed. What is exported stays in `--out` and is not exported again.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import machine_name

from eomt.image_processing.defaults import THRESHOLD
from eomt.train_scripts.data.choices import TASK_NAMES
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.evaluation.inference_options import SCORE_TOLERANCE
from eomt.train_scripts.evaluation.loading import check_classes, class_names, load_model, load_processor, stored_model
from eomt.train_scripts.evaluation.score_names import score_name
from eomt.train_scripts.evaluation.tasks import Task, task_of
from eomt.train_scripts.exporting.exporting import export_model, load_graph

WARM_UP = 2  # photos: first passes compile and choose kernels
BAR = (0.8, 0.3)  # time beside eager PyTorch, and lost score, of 8-bit weights
EXPORTS = {  # row: format, whether its weights have 8 bits
    "ONNX Runtime": ("onnx", False),
    "ONNX Runtime, int8 by channel": ("onnx", True),
    "OpenVINO": ("openvino", False),
    "OpenVINO, int8 weights": ("openvino", True),
}
EAGER, COMPILED = "PyTorch, eager", "PyTorch, torch.compile"
ROWS = (EAGER, COMPILED, *EXPORTS)


class Row(NamedTuple):
    """A model as one line of the table, with its size in 1e6 bytes."""

    model: Callable[..., Any]
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="a trained EoMT")
    parser.add_argument("--data", required=True, help="a prepared dataset with the model's classes")
    parser.add_argument("--split", default="val")
    parser.add_argument("--task", default="semantic", choices=TASK_NAMES)
    parser.add_argument("--out", type=Path, default=Path("outputs/export"), help="folder for the exports and measured.json")
    parser.add_argument("--photos", type=int, help="only so many, after those that are not counted")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="eager PyTorch is always among them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    task, checkpoint = task_of(args.task), stored_model(args.checkpoint)
    rows = load_rows(checkpoint, args.out, [EAGER, *(name for name in args.rows if name != EAGER)])
    records = measure(rows, task, args, checkpoint)
    photos, score = len(records[EAGER]["seconds"]), score_name(task.main_score)
    print(f"{photos} photos, {machine_name(torch.device('cpu'))}, float32\n")
    print(table(records, score) + "\n")
    print(verdicts(records, score))
    (args.out / "measured.json").write_text(json.dumps(records, indent=1))


def load_rows(checkpoint: str, out: Path, names: list[str]) -> dict[str, Row]:
    """The models of the rows; those that are not exported yet are."""
    eager = load_model(checkpoint).eval()
    weights = sum(path.stat().st_size for path in Path(checkpoint).glob("*.safetensors")) / 1e6
    rows = {}
    for name in names:
        if name in EXPORTS:
            to, int8 = EXPORTS[name]
            folder = out / f"{to}{'-int8' if int8 else ''}"
            if not folder.is_dir():
                print(f"exporting: {folder}", flush=True)
                export_model(checkpoint, to, str(folder), int8=int8, masked=False)
            files = [path for path in folder.iterdir() if path.suffix in (".onnx", ".data", ".xml", ".bin")]
            rows[name] = Row(load_graph(folder), sum(path.stat().st_size for path in files) / 1e6)
        else:
            rows[name] = Row(eager if name == EAGER else torch.compile(eager), weights)
    return rows


@torch.inference_mode()
def measure(rows: dict[str, Row], task: Task, args: argparse.Namespace, checkpoint: str) -> dict[str, dict[str, Any]]:
    """{row: its size, the seconds of each photo, and its score}."""
    labels = task.labels(read_labels(args.data))
    eager = rows[EAGER].model
    check_classes(class_names(eager), labels.names, checkpoint)
    processor = load_processor(checkpoint, task, min(eager.config.image_size_hw), labels)
    photos = list(evaluation_stream(args.data, args.split, processor, transform=task.sample))
    random.Random(0).shuffle(photos)
    metrics = {name: task.metric(labels) for name in rows}
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for number, photo in enumerate(photos[:WARM_UP] + photos[: args.photos]):
        sample, inputs = photo["sample"], {name: value for name, value in photo.items() if name != "sample"}
        for name, row in rows.items():
            start = time.perf_counter()
            outputs = row.model(**inputs)
            taken = time.perf_counter() - start
            if number >= WARM_UP:
                seconds[name].append(taken)
                result = task.result(processor, outputs, tuple(sample.image.shape[1:]), THRESHOLD, SCORE_TOLERANCE)
                metrics[name].add_batch(predictions=[result], references=[sample])
    return {
        name: {"megabytes": row.megabytes, "seconds": seconds[name], "score": metrics[name].compute()[task.main_score]}
        for name, row in rows.items()
    }


def ratio(records: dict[str, dict[str, Any]], name: str) -> float:
    """The median of the photos' times beside eager PyTorch's."""
    return statistics.median(own / eager for own, eager in zip(records[name]["seconds"], records[EAGER]["seconds"], strict=True))


def table(records: dict[str, dict[str, Any]], score: str) -> str:
    """In Markdown."""
    lines = [f"| | MB | ms a photo | beside eager | {score} |", "| --- | --- | --- | --- | --- |"]
    for name, record in records.items():
        milliseconds = 1000 * statistics.median(record["seconds"])
        lines.append(
            f"| {name} | {record['megabytes']:.1f} | {milliseconds:.0f} | {ratio(records, name):.2f} | {record['score']:.2f} |"
        )
    return "\n".join(lines)


def verdicts(records: dict[str, dict[str, Any]], score: str) -> str:
    """Whether each row with 8-bit weights meets the bar."""
    lines = []
    for name in [name for name in records if EXPORTS.get(name, ("", False))[1]]:
        lost = records[EAGER]["score"] - records[name]["score"]
        met = ratio(records, name) <= BAR[0] and lost <= BAR[1]
        lines.append(f"{name}: {score} {-lost:+.2f}, bar of {BAR[0]} x eager and -{BAR[1]} {'met' if met else 'not met'}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
