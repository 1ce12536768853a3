"""Prepares images and annotations of any common format for training: parquet shards, a report of what they hold, and a picture.

    python train_scripts/prepare.py --source coco --format coco_panoptic --out data/coco
    python train_scripts/prepare.py --images photos --annotations masks --out data/street \
        --kind semantic --classes sky,road,car --void 255 --val_share 0.2

`--source` is a dataset as its makers or exporting tools lay it out, `--images` and `--annotations` are those of one split. The
format is detected where it can be told. Each image is checked as it is read. An interrupted run goes on when it is started again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.layouts import READERS, Split, detect_format, find_splits
from eomt.train_scripts.data.formats.masks import KINDS
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import EMPTY, prepare
from eomt.train_scripts.data.samples import BAD_SAMPLES


def class_names(text: str) -> list[str]:
    """`sky,road`, or the lines of a text file of that name."""
    try:
        names = Path(text).read_text(encoding="utf-8-sig").splitlines() if Path(text).is_file() else text.split(",")
    except OSError:  # longer than a path may be
        names = text.split(",")
    if names == [text] and text.endswith(".txt"):
        raise argparse.ArgumentTypeError(f"{text}: no such file. Give names with commas between, or a text file of a name a line")
    return [name.strip() for name in names if name.strip()]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="folder of a dataset in a known layout; all its splits are prepared")
    parser.add_argument("--images", help="folder of one split's images, in place of source")
    parser.add_argument("--annotations", help="json file, or folder of masks or text files, that belongs to images")
    parser.add_argument("--split", help="name of the split of images and annotations, train by default")
    parser.add_argument("--out", required=True, help="folder of the dataset to be written")
    parser.add_argument("--format", choices=READERS, help="of the annotations, where it can't be told")
    parser.add_argument("--kind", choices=KINDS, help="masks: what their values are, classes or ids of objects")
    parser.add_argument(
        "--classes", type=class_names, default=[], help="names by index, with commas between, or a text file of a name a line"
    )
    parser.add_argument(
        "--stuff", type=class_names, default=[], help="those of the classes that are not things (coco_instances, yolo, via)"
    )
    parser.add_argument("--void", type=int, nargs="+", default=[], help="values of semantic masks that are no class")
    parser.add_argument("--class_key", help="via: the region attribute that is the class")
    parser.add_argument(
        "--bad_samples", choices=BAD_SAMPLES, default="raise", help="images that can't be used: stop, or leave out and count"
    )
    parser.add_argument(
        "--empty", choices=EMPTY, default="raise", help="images without a segment but crowds: stop, leave out, or keep"
    )
    parser.add_argument(
        "--val_share", type=float, default=0.0, help="share of a single split's images for a second, val: each k-th"
    )
    args = parser.parse_args(argv)
    if bool(args.source) == bool(args.images or args.annotations) or bool(args.images) != bool(args.annotations):
        parser.error("give either --source, or --images and --annotations")
    if args.source and args.split:
        parser.error(f"--split {args.split}: all splits of --source are prepared; give --images and --annotations for one")
    if args.source:
        splits = find_splits(args.source, args.format)
    else:
        annotations = Path(args.annotations)
        splits = [Split(args.split or "train", args.format or detect_format(annotations), Path(args.images), annotations)]
    options = Options(args.classes, args.stuff, args.void, args.kind, args.class_key)
    for split in splits:
        print(f"{split.name}: {split.format}, images {split.images}, annotations {split.annotations}")
    reports = prepare(splits, args.out, options, args.bad_samples, args.empty, args.val_share)
    labels = read_labels(args.out)
    for name, report in reports.items():
        print(f"\n{report.text(name, labels)}\nlook at {Path(args.out) / f'{name}_samples.png'}")


if __name__ == "__main__":
    main()
