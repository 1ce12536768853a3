"""Token merging on a trained model: what it gains in speed and loses in score (paper, Table 9, in miniature).

    python benchmarks/token_merging.py --checkpoint outputs/camvid/seed0/ours --data outputs/camvid/seed0/data
    python benchmarks/token_merging.py --checkpoint ... --data ... --task panoptic --split train

Each setting is timed against the plain model on the same photos, the two in turn, batch by batch, after the photos have been
prepared. Photos come in one shuffled order, since a video's frames are alike, and a batch merges as much as the photo that merges
least. What is in `measured.json` is not measured again, so the command goes on after an interruption and takes further settings;
`--thresholds`, `--global_blocks`, `--batch_sizes` and `--photos` make it shorter. Multiply-adds are of a model input (a window, if
photos are cut into windows), by the numbers of tokens that each block had. It wants a machine without other work.
"""

import argparse
import itertools
import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import torch
from merged_sizes import MergedSizes, TokenCounter
from torch import Tensor

from eomt.image_processing.defaults import THRESHOLD
from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.token_merging import ALGM, MPM, merge_tokens
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation, evaluation_stream
from eomt.train_scripts.evaluation.inference import images_of
from eomt.train_scripts.evaluation.inference_options import SCORE_TOLERANCE
from eomt.train_scripts.evaluation.loading import check_classes, class_names, load_model, load_processor, stored_model
from eomt.train_scripts.evaluation.precision import autocast, chosen_dtype, describe_machine
from eomt.train_scripts.evaluation.score_names import score_name
from eomt.train_scripts.evaluation.tasks import task_of

BAR = (31.0, 0.1)  # the paper's gain in images a second, in percent, and the loss of score that counts as none


class Setting(NamedTuple):
    """One line of the table.

    Args:
        method: None for the plain model.
        batch_size: photos.
        proportional: whether a merged token weighs in the attention as its patches did.
    """

    method: ALGM | MPM | None
    batch_size: int
    proportional: bool = True

    def name(self) -> str:
        """The method in short: `algm .95@1 5`."""
        if self.method is None:
            return "plain"
        if isinstance(self.method, MPM):
            name = "mpm " + " ".join(map(str, self.method.blocks))
        else:
            local = f"{self.method.threshold:g}@{self.method.local_block}" if self.method.local_block else "-"
            name = f"algm {local} {self.method.global_block or '-'}"
        return name if self.proportional else f"{name}, sizes ignored"

    def key(self) -> str:
        return f"{self.name()}, batch {self.batch_size}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="a trained EoMT")
    parser.add_argument("--data", required=True, help="a prepared dataset with the model's classes")
    parser.add_argument("--split", default="val")
    parser.add_argument("--task", default="semantic")
    parser.add_argument("--out", type=Path, default=Path("outputs/token_merging"), help="folder for measured.json and frontier.png")
    parser.add_argument("--thresholds", nargs="+", default=["none", ".98", ".95", ".92", ".88"], help="of the local merging")
    parser.add_argument("--local_blocks", nargs="+", type=int, default=[1])
    parser.add_argument("--global_blocks", nargs="+", default=["none", "5", "7"])
    parser.add_argument("--mpm", action="store_true", help="MPM before blocks 2 and 5 as well")
    parser.add_argument("--ignore_sizes", action="store_true", help="each setting also without ln(size) on the keys")
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[1, 8, 32], help="photos, each with all its windows")
    parser.add_argument("--photos", type=int, help="only so many")
    parser.add_argument("--repeats", type=int, default=3, help="timings of a batch, of which the median is taken")
    parser.add_argument("--class_name", default="Pole", help="a class that has a column (semantic)")
    parser.add_argument("--float32", action="store_true", help="also where bfloat16 autocast is faster")
    args = parser.parse_args()
    bench = Bench(args)
    bench.measure_all(settings_of(args))
    print(table(bench.records, bench.task.main_score))
    plot(bench.records, bench.task.main_score, args.out / "frontier.png")
    print(f"\n{args.out / 'measured.json'}, {args.out / 'frontier.png'}")


def settings_of(args: argparse.Namespace) -> list[Setting]:
    """The plain model first for each batch size: its score is what the others lose against."""
    thresholds = [None if text == "none" else float(text) for text in args.thresholds]
    global_blocks = [None if text == "none" else int(text) for text in args.global_blocks]
    methods: list[ALGM | MPM] = [
        ALGM(local_block=None, global_block=block) for block in global_blocks if block and None in thresholds
    ]
    local = [threshold for threshold in thresholds if threshold is not None]
    methods += [ALGM(*fields) for fields in itertools.product(local, args.local_blocks, global_blocks)]
    methods += [MPM()] if args.mpm else []
    weightings = (True, False) if args.ignore_sizes else (True,)
    settings = []
    for size in args.batch_sizes:
        settings += [Setting(None, size), *(Setting(method, size, weighs) for method in methods for weighs in weightings)]
    return settings


class Bench:
    """The model, the photos, and what has been measured: {key of a setting: record}."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.task = args, task_of(args.task)
        self.device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        self.dtype = chosen_dtype(self.device, False if args.float32 else None)
        self.labels = self.task.labels(read_labels(args.data))
        checkpoint = stored_model(args.checkpoint)
        self.model = load_model(checkpoint).to(self.device).eval()
        check_classes(class_names(self.model), self.labels.names, checkpoint)
        self.processor = load_processor(checkpoint, self.task, min(self.model.config.image_size_hw), self.labels)
        self.photos = list(evaluation_stream(args.data, args.split, self.processor, transform=self.task.sample))
        random.Random(0).shuffle(self.photos)
        self.photos = self.photos[: args.photos]
        size = tuple(self.photos[0]["pixel_values"].shape[-2:])
        self.grid = self.model.embeddings.patch_embeddings.grid_of(self.photos[0]["pixel_values"])
        self.tokens, self.sizes = TokenCounter(self.model), MergedSizes(self.model.config, size)
        self.path = args.out / "measured.json"
        self.setup = {
            "checkpoint": str(args.checkpoint),
            "photos": f"{len(self.photos)} of {args.data}, split {args.split}, at {size[0]}x{size[1]} pixels",
            "machine": describe_machine(self.device, self.dtype, "sdpa", 1),
        }
        self.records = self._stored()

    def _stored(self) -> dict[str, dict]:
        if not self.path.is_file():
            return {}
        content = json.loads(self.path.read_text())
        if content["setup"] != self.setup:
            raise ValueError(f"out={self.args.out} has figures of {content['setup']}, not of {self.setup}; choose another folder")
        return content["records"]

    def measure_all(self, settings: Sequence[Setting]) -> None:
        """Measures what is missing, and stores each record as it is made."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        print(json.dumps(self.setup, indent=1), flush=True)
        for setting in settings:
            if setting.key() not in self.records:
                record = self.records[setting.key()] = self.measure(setting)
                self.path.write_text(json.dumps({"setup": self.setup, "records": self.records}, indent=1))
                print(json.dumps(record), flush=True)

    @torch.inference_mode()
    def measure(self, setting: Setting) -> dict[str, Any]:
        """Times a setting and the plain model in turn on all photos, and scores the setting."""
        metric, total, sizes = self.task.metric(self.labels), {"plain": 0.0, "merged": 0.0}, []
        starts = range(0, len(self.photos), setting.batch_size)
        batches = [collate_evaluation(self.photos[start : start + setting.batch_size]) for start in starts]
        self.time_passes(batches[0]["pixel_values"], setting)  # not counted: first passes prepare kernels
        for batch in batches:
            seconds, outputs = self.time_passes(batch["pixel_values"], setting)
            total = {name: total[name] + seconds[name] for name in total}
            self.add_scores(outputs, batch, metric)
            sizes += [self.sizes_of_last(setting)] * len(batch["pixel_values"])
        speeds = {name: len(self.photos) / seconds for name, seconds in total.items()}
        return {
            "name": setting.name(),
            "batch_size": setting.batch_size,
            "images_a_second": speeds["merged"],
            "plain_images_a_second": speeds["plain"],
            "gain": 100 * (speeds["merged"] / speeds["plain"] - 1),
            "gmacs": statistics.mean(gmacs for gmacs, _ in sizes),
            "kept": [statistics.mean(shares) for shares in zip(*(kept for _, kept in sizes), strict=True)],
            **self.chosen_scores(metric.compute()),
        }

    def time_passes(self, pixel_values: Tensor, setting: Setting) -> tuple[dict[str, float], EomtForUniversalSegmentationOutput]:
        """Median seconds of the plain model and of the setting on a batch, and the outputs of the setting, which runs last."""
        pixel_values, seconds = pixel_values.to(self.device), {"plain": [], "merged": []}
        for _ in range(self.args.repeats):
            for name, method in (("plain", None), ("merged", setting.method)):
                merge_tokens(self.model, method, setting.proportional)
                start = time.perf_counter()
                with autocast(self.device, self.dtype):
                    outputs = self.model(pixel_values=pixel_values)
                if self.device.type != "cpu":
                    torch.accelerator.synchronize()
                seconds[name].append(time.perf_counter() - start)
        return {name: statistics.median(values) for name, values in seconds.items()}, outputs

    def sizes_of_last(self, setting: Setting) -> tuple[float, list[float]]:
        """GMACs of a model input in the last pass, and the shares of tokens left after each merge."""
        kept = [] if setting.method is None else self.tokens.kept(setting.method, self.grid[0] * self.grid[1])
        return self.sizes.merged(self.tokens, setting.method) / 1e9, kept

    def add_scores(self, outputs: EomtForUniversalSegmentationOutput, batch: dict, metric: Any) -> None:
        for sample, one in zip(batch["samples"], images_of(outputs, batch), strict=True):
            result = self.task.result(self.processor, one, tuple(sample.image.shape[1:]), THRESHOLD, SCORE_TOLERANCE)
            metric.add_batch(predictions=[result], references=[sample])

    def chosen_scores(self, scores: dict[str, Any]) -> dict[str, float]:
        chosen = {self.task.main_score: scores[self.task.main_score]}
        if self.task.name == "semantic" and self.args.class_name in self.labels.names:
            chosen[self.args.class_name] = scores["per_class"][self.labels.names.index(self.args.class_name)]
        return chosen


def losses(records: Mapping[str, dict], score: str) -> dict[str, float]:
    """{key: what a setting loses of a score against the plain model at the same batch size}."""
    plain = {record["batch_size"]: record[score] for record in records.values() if record["name"] == "plain"}
    return {key: plain[record["batch_size"]] - record[score] for key, record in records.items() if record["batch_size"] in plain}


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those (gain, loss) for which no other one gains as much and loses less, by gain."""
    best = []
    for gain, loss in sorted(points, key=lambda point: (-point[0], point[1])):
        if not best or loss < best[-1][1]:
            best.append((gain, loss))
    return best[::-1]


def table(records: Mapping[str, dict], score: str) -> str:
    """The records as a table in Markdown, by batch size and gain."""
    fixed = {"name", "batch_size", "images_a_second", "plain_images_a_second", "gain", "gmacs", "kept", score}
    more = sorted({name for record in records.values() for name in record} - fixed)
    heads = ["batch", "merging", "kept", "GMACs", "images/s", "gain", score_name(score), "loss", *more]
    lines = [heads, ["---"] * len(heads)]
    lost = losses(records, score)
    for key, record in sorted(records.items(), key=lambda item: (item[1]["batch_size"], item[1]["gain"])):
        kept, plain = " / ".join(f"{share:.2f}" for share in record["kept"]) or "1", record["name"] == "plain"
        speed = record["plain_images_a_second"] if plain else record["images_a_second"]
        gain, loss = ("", "") if plain else (f"{record['gain']:+.0f} %", f"{lost[key]:+.2f}" if key in lost else "")
        cells = [record["batch_size"], record["name"], kept, f"{record['gmacs']:.1f}", f"{speed:.2f}", gain]
        lines.append([*cells, f"{record[score]:.2f}", loss, *(f"{record[name]:.1f}" for name in more)])
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def plot(records: Mapping[str, dict], score: str, path: Path) -> None:
    """Gain in speed against loss of score: a dot a setting, a line along those that no other one beats at their batch size."""
    lost = losses(records, score)
    figure, axes = plt.subplots(figsize=(7, 4.5), dpi=130, layout="constrained")
    for size, colour in zip(
        sorted({record["batch_size"] for record in records.values()}), plt.cm.viridis([0, 0.45, 0.8]), strict=False
    ):
        dots = {key: record for key, record in records.items() if record["batch_size"] == size and key in lost and record["kept"]}
        points = {key: (record["gain"], lost[key]) for key, record in dots.items()}
        axes.scatter(*zip(*points.values(), strict=True), color=colour, s=14)
        line = frontier([(0.0, 0.0), *points.values()])
        axes.plot(*zip(*line, strict=True), color=colour, label=f"batch of {size}")
        for key, point in points.items():
            if point in line:
                axes.annotate(dots[key]["name"].removeprefix("algm "), point, fontsize=6, xytext=(3, 3), textcoords="offset points")
    axes.axvline(BAR[0], color="grey", linewidth=0.7, linestyle=":")
    axes.axhline(BAR[1], color="grey", linewidth=0.7, linestyle=":")
    axes.set(xlabel="images a second, gain in %", ylabel=f"{score_name(score)} lost, points")
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main()
