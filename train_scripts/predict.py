"""Segments many images: panoptic PNGs with their json, COCO's instance json, or index PNGs, and pictures if asked for.

    eomt-predict --checkpoint outputs/street --images photos --task semantic --output predictions --overlays
    accelerate launch -m eomt.train_scripts.predict --checkpoint ... --images ... --task ... --output ...     (several GPUs)

Interrupted, the same command goes on with the images that are not done. An image that can't be read is reported in
`broken.json`, tried again by the next run, and the others go on. Names of digits alone are COCO's image ids.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from eomt import EomtConfig
from eomt.image_processing.defaults import THRESHOLD
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.coco import read_json
from eomt.train_scripts.data.image_sources import ImageStream, open_source
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.prediction_files import PredictionFiles
from eomt.train_scripts.evaluation.tasks import TASKS
from eomt.train_scripts.score import load_any_model, load_processor


def predict(
    checkpoint: str,
    images: str,
    task: str,
    output: str | Path,
    split: str = "val",
    column: str = "image",
    batch_size: int = 1,
    threshold: float = THRESHOLD,
    overlays: bool = False,
    categories: str | Path | None = None,
    threads: int = 2,
    masked: bool = False,
) -> dict[str, int]:
    """Predicts all images that are not done; with several processes each its share, with the same results.

    Args:
        checkpoint: a folder or a Hub name.
        images, split, column: see [`open_source`].
        task: one of `TASKS`.
        output: folder of the predictions.
        batch_size: images a process and forward pass.
        threshold: class score a query needs to become a segment (panoptic).
        overlays: whether to draw pictures.
        categories: a json of COCO, whose category ids are used, by name. It also says what is stuff, for checkpoints of which
            nobody knows, as those of transformers; without it, all of their classes are things.
        threads: that decode images, a process.
        masked: masks the last L2 blocks, for a model that was trained with `masking` "always".

    Returns:
        `predicted` in this run, `done` before, and `broken`, over all processes.

    Raises:
        ValueError: an argument is wrong, or the output folder has something else.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    model = load_any_model(checkpoint).to(state.device)
    model.set_attn_mask_probs([float(masked)] * model.config.num_blocks)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    category_ids, things = _read_categories(categories, names)
    processor = load_processor(checkpoint, task, min(model.config.image_size_hw), Labels(names, things))
    stuff = set(processor.stuff_classes)
    labels = Labels(names, [place not in stuff for place in range(len(names))])
    version = _version(checkpoint, model.config)
    plan = {
        "checkpoint": checkpoint,
        "version": version,
        "threshold": threshold,
        "masked": masked,
        "images": images,
        "split": split,
        "column": column,
    }
    source = open_source(images, split, column)
    files = PredictionFiles(output, task, labels, plan, category_ids, overlays)
    state.wait_for_everyone()  # all have looked at the folder before one writes to it
    if state.is_main_process:
        files.start()
    state.wait_for_everyone()
    stream = ImageStream(source, processor, files.is_done, state.num_processes, state.process_index, threads)
    predicted = 0
    for image, result in predictions(model, processor, stream, task, batch_size, threshold, show_progress=state.is_main_process):
        files.add(image, result)
        predicted += 1
    counts = gather_object([(predicted, stream.finished, stream.broken)])
    broken = {name: reason for _, _, own in counts for name, reason in own.items()}
    if state.is_main_process:
        files.join()
        _report_broken(Path(output), broken)
    return {"predicted": sum(own for own, _, _ in counts), "done": sum(own for _, own, _ in counts), "broken": len(broken)}


def _read_categories(path: str | Path | None, names: Sequence[str]) -> tuple[list[int], list[bool]]:
    """The category id of each class, and whether it is a thing."""
    if path is None:
        return list(range(len(names))), [True] * len(names)
    found = {entry["name"]: (entry["id"], bool(entry.get("isthing", True))) for entry in read_json(Path(path))["categories"]}
    if unknown := sorted(set(names) - found.keys()):
        raise ValueError(
            f"categories={path} lacks the model's classes {unknown[:10]}. Give the json of the data it was trained on."
        )
    return [found[name][0] for name in names], [found[name][1] for name in names]


def _version(checkpoint: str, config: EomtConfig) -> str | dict[str, list[int]] | None:
    """What tells a checkpoint from an earlier one of the same name: size and time of its files, or the Hub's commit."""
    if not Path(checkpoint).is_dir():
        return getattr(config, "_commit_hash", None)
    files = sorted(path for path in Path(checkpoint).iterdir() if path.suffix in (".json", ".safetensors", ".bin"))
    stored = [path for path in files if path.name.startswith(("config", "model", "pytorch_model", "preprocessor"))]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in stored}


def _report_broken(output: Path, broken: dict[str, str]) -> None:
    path = output / "broken.json"
    if broken:
        path.write_text(json.dumps(dict(sorted(broken.items())), indent=1))
    else:
        path.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Segments many images with an EoMT checkpoint.")
    parser.add_argument("--checkpoint", required=True, help="EoMT checkpoint, a folder or a Hub name")
    parser.add_argument(
        "--images", required=True, help="folder of images or of parquet shards, a parquet file, or a dataset of the Hub"
    )
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--output", required=True, help="folder for the predictions")
    parser.add_argument("--split", default="val", help="of a dataset")
    parser.add_argument("--column", default="image", help="of a dataset, in which the images are")
    parser.add_argument("--batch_size", type=int, default=1, help="images a process and forward pass")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="class score that a query needs to become a segment (panoptic)"
    )
    parser.add_argument("--overlays", action="store_true", help="pictures of the images with their segments")
    parser.add_argument("--categories", help="a json of COCO, whose category ids are used, by name")
    parser.add_argument("--masked", action="store_true", help="mask the last blocks, for a model trained with masking always")
    parser.add_argument("--threads", type=int, default=2, help="that decode images, a process")
    args = parser.parse_args(argv)
    counts = predict(**vars(args))
    if PartialState().is_main_process:
        print(", ".join(f"{count} {name}" for name, count in counts.items()) + f"; in {args.output}")
        if counts["broken"]:
            print(f"what couldn't be read is in {Path(args.output) / 'broken.json'}")
    PartialState().destroy_process_group()  # threads of it that are left may abort the process at its end


if __name__ == "__main__":
    main()
