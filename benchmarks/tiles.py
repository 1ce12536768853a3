"""What the resolution of masks costs the AP of small objects, with and without tiles, for a model that knows the truth.

    python benchmarks/tiles.py --data outputs/dsb2018/seed0/data --image_size 320

For the whole image and for each tile, the mask logits are the true masks at the resolution of a model's, and class scores differ at
random. Post-processing, merging and metric are those of `eomt score --tiles`. No model's AP can be expected above this.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor

from eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.tasks import task_of

STRIDE = 4  # pixels of the model's input a cell of its masks
SHARPNESS = 8.0  # logit inside a mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a prepared dataset with things")
    parser.add_argument("--split", default="val")
    parser.add_argument("--image_size", type=int, default=320, help="side of the model's input, pixels")
    parser.add_argument("--queries", type=int, default=150, help="so many objects, the largest ones, are seen in a view")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.5, 2.0, 3.0, 4.0], help="of tiles")
    args = parser.parse_args()
    task = task_of("instance")
    labels = task.labels(read_labels(args.data))
    plain = EomtImageProcessor(size={"shortest_edge": args.image_size, "longest_edge": args.image_size})
    print("| tiles | views an image | AP | AP50 | AP75 | AP small | AP medium |\n| --- | --- | --- | --- | --- | --- | --- |")
    for scale in (None, *args.scales):
        processor = plain if scale is None else TiledProcessor(plain, scale)
        metric, views, stream = task.metric(labels), 0, evaluation_stream(args.data, args.split, plain, transform=task.sample)
        for example in stream:
            sample = example["sample"]
            outputs = ideal_outputs(sample, processor, len(labels), args)
            views += len(outputs.masks_queries_logits)
            result = task.result(processor, outputs, tuple(sample.image.shape[1:]), 0.0, 0.0)
            metric.add_batch(predictions=[result], references=[sample])
        scores = metric.compute()
        row = " | ".join(f"{scores[name]:.1f}" for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium"))
        print(f"| {scale or 'none'} | {views / len(stream):.1f} | {row} |", flush=True)


def ideal_outputs(
    sample: Sample, processor: EomtImageProcessor | TiledProcessor, num_classes: int, args: argparse.Namespace
) -> EomtForUniversalSegmentationOutput:
    """The outputs of a model that knows the truth, for all views of an image."""
    height, width = sample.image.shape[1:]
    tiles = processor.tiles((height, width)) if isinstance(processor, TiledProcessor) else []
    layouts = processor(images=[sample.image], return_tensors="pt")["image_layouts"]
    frames = [(0, 0, width, height), *tiles]
    logits = [
        view_logits(sample, frame, layout[:2].tolist(), num_classes, args) for frame, layout in zip(frames, layouts, strict=True)
    ]
    masks, classes = (torch.stack(parts) for parts in zip(*logits, strict=True))
    return EomtForUniversalSegmentationOutput(masks_queries_logits=masks, class_queries_logits=classes, image_layouts=layouts)


def view_logits(
    sample: Sample, frame: tuple[int, int, int, int], content: list[int], num_classes: int, args: argparse.Namespace
) -> tuple[Tensor, Tensor]:
    """Mask logits (Q, side / 4, side / 4) and class logits (Q, C + 1) of a view, whose content has so many rows and columns."""
    generator = torch.Generator().manual_seed(0)
    x0, y0, x1, y1 = frame
    planes = sample.id_map[..., y0:y1, x0:x1].reshape(-1, y1 - y0, x1 - x0)
    masks = torch.stack([(planes == segment).any(0) for segment in sample.segment_ids.tolist()])
    areas, order = masks.flatten(1).sum(1).sort(descending=True)
    shown = order[areas > 0][: args.queries]
    canvas = torch.zeros(args.queries, args.image_size, args.image_size)
    for plane, mask in zip(canvas, masks[shown].float(), strict=False):
        plane[: content[0], : content[1]] = F.interpolate(mask[None, None], size=content, mode="bilinear", antialias=True)[0, 0]
    classes = torch.zeros(args.queries, num_classes + 1)
    classes[len(shown) :, num_classes] = 5
    classes[range(len(shown)), sample.class_labels[shown]] = 5 - torch.rand(len(shown), generator=generator)
    return SHARPNESS * (2 * F.avg_pool2d(canvas, STRIDE) - 1), classes


if __name__ == "__main__":
    main()
