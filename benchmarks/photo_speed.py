"""Time from a photo's file to its segments, and of post-processing alone, beside transformers' EoMT.

    python benchmarks/photo_speed.py            2 threads
    python benchmarks/photo_speed.py --loaded   the same beside one busy process for each thread

A ViT-S at 640 pixels with random weights, float32. Since random weights find nothing, post-processing gets the logits of
`made_up.py`: an image of `--segments` sure queries. From file to segments, times are also given as multiples of the forward pass of
timm's plain ViT on the same input. All calls run in turn; figures are medians. Before the timing, both packages must give the same
classes to 99 % of the pixels, and the same instances.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_up import made_up_logits
from PIL import Image
from speed import CLASSES, build_models, plain_vit
from timing import machine_name, timed
from torch import Tensor
from transformers.models.eomt.image_processing_eomt import EomtImageProcessor as StockProcessor

from eomt import EomtImageProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.scenes import make_scene

PHOTOS = {"640 x 480": (480, 640), "1080p": (1080, 1920)}
CPU = torch.device("cpu")
SEMANTIC_CLASSES, SEMANTIC_SIDE = 150, 512  # ADE20K's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, nargs="+", default=[14, 60], help="of an image; a row each")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--loaded", action="store_true", help="beside one busy process for each thread")
    parser.add_argument("--skip_photos", action="store_true", help="post-processing alone")
    args = parser.parse_args()
    load = torch.get_num_threads() if args.loaded else 0
    with torch.inference_mode(), busy_processes(load):
        print(f"{machine_name(CPU)}, {load} other busy processes, torch {torch.__version__}, medians of {args.repeats}")
        if not args.skip_photos:
            print_photos(args)
        print_post_processing(args)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    processes = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()


def _spin() -> None:
    torch.set_num_threads(1)
    values = torch.randn(512, 512)
    while True:
        values @ values


def print_photos(args: argparse.Namespace) -> None:
    """Milliseconds from file to panoptic segments, and of their parts."""
    models = build_models(argparse.Namespace(architecture="small", image_size=640))
    processors = {"ours": EomtImageProcessor(), "stock": StockProcessor(do_pad=True)}
    vit = plain_vit("small", 640).eval()
    for model in models.values():
        model.eval().attn_mask_probs.fill_(0)
    print(f"{'photo file to segments, ms':<34}{'plain ViT':>10}" + "".join(f"{name:>22}" for name in models))
    with tempfile.TemporaryDirectory() as folder:
        for (name, size), segments in ((photo, segments) for photo in PHOTOS.items() for segments in args.segments):
            path = write_photo(Path(folder) / "photo.jpg", size)
            logits = made_up_logits(1, CLASSES, segments)
            photos = {key: Photo(path, size, models[key], processors[key], logits) for key in models}
            check_panoptic(photos["ours"].segments(), photos["stock"].segments())
            pixels = photos["ours"].pixels
            calls: dict[str, Callable] = {"plain ViT": lambda pixels=pixels: vit.forward_features(pixels)}
            for key, photo in photos.items():
                calls |= {key: photo.segments, f"{key}, read": photo.read, f"{key}, post": photo.post_process}
            seconds = timed(calls, args.repeats, CPU)
            print(f"{f'{name}, {segments} segments':<34}{1000 * seconds['plain ViT']:>10.0f}", end="")
            for key in models:
                print(f"{1000 * seconds[key]:>14.0f} ({seconds[key] / seconds['plain ViT']:.2f} x)", end="")
            print()
            for part, unit in (("reading", "read"), ("post-processing", "post")):
                print(f"{f'  {part}':<44}" + "".join(f"{1000 * seconds[f'{key}, {unit}']:>14.1f}{'':8}" for key in models))


def write_photo(path: Path, size: tuple[int, int]) -> Path:
    """A JPEG of `size`, height and width: one of the demo's scenes."""
    scene, *_ = make_scene(np.random.default_rng(0), held_out=False)
    Image.fromarray(scene).resize(size[::-1], Image.Resampling.BICUBIC).save(path, quality=90)
    return path


class Photo:
    """A photo's way through one package."""

    def __init__(self, path: Path, size: tuple[int, int], model: torch.nn.Module, processor: Any, logits: tuple[Tensor, Tensor]):
        self.path, self.size, self.model, self.processor, self.logits = path, size, model, processor, logits
        self.inputs = self.read()
        self.pixels = self.inputs["pixel_values"]

    def read(self) -> dict:
        return self.processor(images=Image.open(self.path), return_tensors="pt")

    def post_process(self) -> dict:
        outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=self.logits[0], class_queries_logits=self.logits[1])
        if "image_layouts" in self.inputs:
            outputs["image_layouts"] = self.inputs["image_layouts"]
        return self.processor.post_process_panoptic_segmentation(outputs, [self.size])[0]

    def segments(self) -> dict:
        self.model(**self.read())
        return self.post_process()


def check_panoptic(ours: dict, stock: dict) -> None:
    """Raises if the classes of more than 1 % of the pixels differ."""
    classes = []
    for result in (ours, stock):
        table = torch.full((len(result["segments_info"]) + 2,), -1)
        for segment in result["segments_info"]:
            table[segment["id"]] = segment["label_id"]
        classes.append(table[result["segmentation"].long()])
    check_equal(*classes)


def check_equal(ours: Tensor, stock: Tensor) -> None:
    share = (ours == stock).float().mean().item()
    if share < 0.99:
        raise RuntimeError(f"ours and stock agree at {share:.1%} of the pixels; times of different results say nothing")


def print_post_processing(args: argparse.Namespace) -> None:
    """Milliseconds of instances and of semantic maps of a 1080p image."""
    size = PHOTOS["1080p"]
    print(f"{'post-processing, 1080p, ms':<40}{'ours':>10}{'stock':>10}{'ratio':>10}")
    for segments in args.segments:
        print_pair(f"instance, 100 best as RLE, {segments} segments", *instance_calls(size, segments), args.repeats)
    for segments in args.segments:
        print_pair(f"semantic, {SEMANTIC_CLASSES} classes, {segments} segments", *semantic_calls(size, segments), args.repeats)


def print_pair(name: str, ours: Callable, stock: Callable, repeats: int) -> None:
    seconds = timed({"ours": ours, "stock": stock}, repeats, CPU, warmups=1)
    print(f"{name:<40}{1000 * seconds['ours']:>10.0f}{1000 * seconds['stock']:>10.0f}{seconds['stock'] / seconds['ours']:>10.1f}")


def instance_calls(size: tuple[int, int], segments: int) -> tuple[Callable, Callable]:
    """Ours: the 100 best pairs of query and class, as COCO scores them. Stock's: its one map of all queries; it has no other."""
    processors = EomtImageProcessor(), StockProcessor(do_pad=True)
    masks, classes = made_up_logits(1, CLASSES, segments)
    layout = processors[0](images=Image.new("RGB", size[::-1]), return_tensors="pt")["image_layouts"]
    outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes, image_layouts=layout)
    post = [processor.post_process_instance_segmentation for processor in processors]
    infos = [call(outputs, target_sizes=[size], threshold=0.5)[0]["segments_info"] for call in post]
    scores = [sorted(segment["score"] for segment in info) for info in infos]
    torch.testing.assert_close(*map(torch.tensor, scores), atol=1e-5, rtol=0)
    return (
        lambda: post[0](outputs, target_sizes=[size], threshold=0.0, top_k=100, return_rles=True),
        lambda: post[1](outputs, target_sizes=[size], threshold=0.0),
    )


def semantic_calls(size: tuple[int, int], segments: int) -> tuple[Callable, Callable]:
    """The image is cut into windows; both get the same logits of each."""
    settings = {"do_split_image": True, "size": {"shortest_edge": SEMANTIC_SIDE}}
    processors = EomtImageProcessor(**settings), StockProcessor(**settings, do_pad=False)
    inputs = [processor(images=Image.new("RGB", size[::-1]), return_tensors="pt") for processor in processors]
    windows = len(inputs[0]["pixel_values"])
    masks, classes = made_up_logits(windows, SEMANTIC_CLASSES, segments, SEMANTIC_SIDE // 4)
    calls = []
    for processor, batch in zip(processors, inputs, strict=True):
        outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes)
        outputs["patch_offsets"] = batch["patch_offsets"]
        if "image_layouts" in batch:
            outputs["image_layouts"] = batch["image_layouts"]
        calls.append(
            lambda processor=processor, outputs=outputs: processor.post_process_semantic_segmentation(outputs, target_sizes=[size])
        )
    check_equal(*(call()[0] for call in calls))
    return tuple(calls)


if __name__ == "__main__":
    main()
