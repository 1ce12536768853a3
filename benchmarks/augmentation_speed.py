"""Time of augmenting a training image beside torchvision's transforms on N masks, and what a worker feeds.

    python benchmarks/augmentation_speed.py
    python benchmarks/augmentation_speed.py --worker        also images a second of one DataLoader worker beside a training step

Both augment a photo of 640 x 480 to 640 pixels: horizontal flip, scale jitter of .1 to 2, padding and crop, on one thread. Ours
carries an id map, torchvision's `v2` a mask for each segment, which is how its documentation does it. Calls take turns; figures are
medians over as many draws. Before the timing, both must give the same picture and masks where nothing is drawn at random.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from speed import Step
from speed import build_models as build_speed_models
from timing import machine_name
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from eomt.image_processing.augmentation import ScaleJitterCrop, training_augmentation
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.scenes import make_scene
from eomt.train_scripts.data.training_collator import TrainingCollator
from eomt.train_scripts.data.training_stream import training_stream

PHOTO, SIDE = (480, 640), 640
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, nargs="+", default=[5, 15, 40], help="of a photo; a row each")
    parser.add_argument("--repeats", type=int, default=60, help="draws")
    parser.add_argument("--worker", action="store_true", help="also what one worker feeds, and a step consumes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine_name(CPU)}, {PHOTO[1]} x {PHOTO[0]} to {SIDE}, ms an image")
    print(f"{'segments':<10}{'id map':>10}{'v2, masks':>12}{'ratio':>8}")
    for segments in args.segments:
        ours, torchvision = augmentation_times(segments, args.repeats)
        print(f"{segments:<10}{1000 * ours:>10.1f}{1000 * torchvision:>12.1f}{torchvision / ours:>8.1f}")
    if args.worker:
        print_worker()


def augmentation_times(segments: int, repeats: int) -> tuple[float, float]:
    """Median seconds of ours and of torchvision's."""
    image, ids = made_up_photo(segments)
    masks = tv_tensors.Mask(ids == torch.arange(segments)[:, None, None])
    image, ids = tv_tensors.Image(image), tv_tensors.Mask(ids)
    check_equal(image, ids, masks)
    ours = training_augmentation(SIDE)
    theirs = v2.Compose([v2.RandomHorizontalFlip(), v2.ScaleJitter((SIDE, SIDE), (0.1, 2.0), antialias=True), crop()])
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(repeats + 2):
        for name, call in (("ours", lambda: ours(image, ids)), ("theirs", lambda: theirs(image, masks))):
            torch.manual_seed(repeat)
            start = time.perf_counter()
            call()
            if repeat > 1:
                seconds[name].append(time.perf_counter() - start)
    return statistics.median(seconds["ours"]), statistics.median(seconds["theirs"])


def crop() -> v2.RandomCrop:
    return v2.RandomCrop((SIDE, SIDE), pad_if_needed=True)


def made_up_photo(segments: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture (3, H, W), and the ids (H, W) of segments around as many points."""
    generator = torch.Generator().manual_seed(0)
    rows, cols = torch.arange(PHOTO[0])[:, None], torch.arange(PHOTO[1])
    points = torch.rand(segments, 2, 1, 1, generator=generator)
    distances = (rows - points[:, 0] * PHOTO[0]) ** 2 + (cols - points[:, 1] * PHOTO[1]) ** 2
    ids = distances.argmin(0).int()
    colours = torch.randint(0, 256, (segments, 3), dtype=torch.uint8, generator=generator)
    return colours[ids.long()].permute(2, 0, 1), ids  # as a decoded photo lies in memory


def check_equal(image: torch.Tensor, ids: torch.Tensor, masks: torch.Tensor) -> None:
    """Raises unless both resize a picture and its segments alike, to 1.25 times the size: torchvision's masks are shifted by up to
    half a pixel of the photo, since its nearest pixel is not that under the new one's centre."""
    size = [edge * 5 // 4 for edge in PHOTO]
    resized, resized_masks = v2.Resize(size, antialias=True)(image, masks)
    mine, my_ids = ScaleJitterCrop(max(size), 1.0, 1.0)(image, ids)
    difference = (mine[:, : size[0], : size[1]].float() - resized.float()).abs().mean().item()
    my_masks = my_ids[: size[0], : size[1]] == torch.arange(len(masks))[:, None, None]
    agreement = (my_masks == resized_masks).float().mean().item()
    if difference > 0.5 or agreement < 0.995:
        raise RuntimeError(f"pictures differ by {difference:.2f} levels, {agreement:.2%} of the masks agree")


def print_worker(images: int = 200) -> None:
    """Images a second of one worker on made-up photos, decoded and augmented, and of a training step of a ViT-S."""
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count=32)
        prepare([Split("train", "masks", Path(folder) / "photos", Path(folder) / "masks")], Path(folder) / "data", options())
        stream = training_stream(Path(folder) / "data", "train", training_augmentation(SIDE), seed=0)
        loader = iter(DataLoader(stream, batch_size=2, num_workers=1, collate_fn=TrainingCollator([0.5] * 3, [0.25] * 3)))
        for _ in range(5):
            next(loader)
        start = time.perf_counter()
        for _ in range(images // 2):
            next(loader)
        fed = images / (time.perf_counter() - start)
    torch.set_num_threads(2)
    options_of_step = argparse.Namespace(architecture="small", image_size=SIDE, train_batch_size=2, segments=16)
    step = Step(build_speed_models(options_of_step)["ours"], options_of_step, CPU, bf16=False)
    step()
    start = time.perf_counter()
    step()
    consumed = 2 / (time.perf_counter() - start)
    print(f"one worker feeds {fed:.1f} images/s; a training step on 2 threads consumes {consumed:.2f}: {fed / consumed:.0f} x")


def options() -> Options:
    return Options(kind="semantic", classes=[f"class {index}" for index in range(20)], void=[255])


def write_photos(folder: Path, count: int) -> None:
    """JPEGs and masks of class indices, scenes of the demo at the size of photos."""
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for index in range(count):
        scene, ids, classes = make_scene(np.random.default_rng(index), held_out=False)
        table = np.full(256, 255, np.uint8)
        table[1 : len(classes) + 1] = classes
        Image.fromarray(scene).resize(PHOTO[::-1], Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.jpg", quality=90)
        Image.fromarray(table[ids]).resize(PHOTO[::-1], Image.Resampling.NEAREST).save(folder / "masks" / f"{index}.png")


if __name__ == "__main__":
    main()
