r"""Prepares images and annotations of any common format for training: parquet shards, a report of what they hold, and a picture.

    python train_scripts/prepare.py --source coco --format coco_panoptic --out data/coco
    python train_scripts/prepare.py --images photos --annotations masks --out data/street \
        --kind semantic --classes sky,road,car --void 255 --val_share 0.2

`--source` is a dataset as its makers or exporting tools lay it out, `--images` and `--annotations` are those of one split. The
format is detected where it can be. Each image is checked as it is read. An interrupted run goes on when it is started again.
"""

from collections.abc import Sequence
from pathlib import Path

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.prepare_options import PrepareOptions


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(PrepareOptions, words, __doc__)
    # heavy modules come after the options, so that a wrong option is answered at once
    from eomt.train_scripts.data.dataset_folder import read_labels
    from eomt.train_scripts.data.formats.archives import remove_unpacked
    from eomt.train_scripts.data.next_command import next_line, train_words
    from eomt.train_scripts.data.preparation import prepare

    splits = options.splits()
    for split in splits:
        print(f"{split.name}: {split.format}, images {split.images}, annotations {split.annotations}")
    reports = prepare(splits, options.out, options.format_options(), **options.policies())
    remove_unpacked(options.out)
    labels = read_labels(options.out)
    for name, report in reports.items():
        print(f"\n{report.text(name, labels)}\nlook at {Path(options.out) / f'{name}_samples.png'}")
    print(f"\ndata:     {options.out}\n{next_line(train_words(options.out, labels, list(reports)))}")


if __name__ == "__main__":
    main()
