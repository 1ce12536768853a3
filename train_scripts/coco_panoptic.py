"""Converts COCO panoptic annotations in their official form to a dataset of `eomt.train_scripts.data`.

    python train_scripts/coco_panoptic.py --images train2017 --panoptic panoptic_train2017 --json panoptic_train2017.json \
        --out coco --split train

Images and PNGs are stored as they are. Class indices follow the order of the json's categories. Interrupted, run it again.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from eomt.train_scripts.data import Labels, write_labels, write_split


def read_annotations(json_file: str | Path) -> tuple[Labels, dict[int, int], list[tuple[dict, dict]]]:
    """
    Returns:
        The classes, {category id: class index}, and each annotated image's entries in `images` and `annotations`.

    Raises:
        ValueError: the file is missing, isn't of COCO's panoptic form, or an annotation has no image.
    """
    json_file = Path(json_file)
    if not json_file.is_file():
        raise ValueError(f"json={json_file}: no such file. Give COCO's panoptic json, such as panoptic_val2017.json.")
    try:
        content = json.loads(json_file.read_text())
        categories, annotations = content["categories"], content["annotations"]
        images = {image["id"]: image for image in content["images"]}
        labels = Labels([entry["name"] for entry in categories], [bool(entry["isthing"]) for entry in categories])
        index = {entry["id"]: position for position, entry in enumerate(categories)}
        pairs = [(images[annotation["image_id"]], annotation) for annotation in annotations]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"json={json_file} can't be read as COCO panoptic annotations ({error!r}).") from error
    return labels, index, pairs


def make_row(image: dict, annotation: dict, index: dict[int, int], images: Path, panoptic: Path) -> dict:
    """One row; raises ValueError for a missing file or an unknown category."""
    name = f"image_id {image['id']}"
    table = []
    for segment in annotation["segments_info"]:
        if segment["category_id"] not in index:
            raise ValueError(f"{name}: category_id {segment['category_id']} is not in the json's categories.")
        crowd = bool(segment.get("iscrowd", 0))
        table.append({"id": segment["id"], "category": index[segment["category_id"]], "iscrowd": crowd})
    return {
        "image_id": Path(image["file_name"]).stem,
        "image": _encoded(images / image["file_name"], name),
        "id_map": _encoded(panoptic / annotation["file_name"], name),
        "segments": table,
    }


def _encoded(path: Path, name: str) -> dict:
    if not path.is_file():
        raise ValueError(f"{name}: {path}: no such file. Give the folders that belong to the json.")
    return {"bytes": path.read_bytes(), "path": path.name}


def make_rows(pairs: list[tuple[dict, dict]], index: dict[int, int], images: Path, panoptic: Path) -> Iterator[dict]:
    for image, annotation in pairs:
        yield make_row(image, annotation, index, images, panoptic)


def convert(images: str | Path, panoptic: str | Path, json_file: str | Path, out: str | Path, split: str) -> int:
    """Writes a split and labels.json into `out`; the split's shards appear when all are complete.

    Args:
        images, panoptic: folders of the photos and of the panoptic PNGs.
        json_file: COCO's panoptic json.
        out: folder of the dataset; it may hold other splits with the same classes.
        split: name of the new split.

    Returns:
        The number of images.

    Raises:
        ValueError: a file is missing or malformed, or `out` has this split or other classes already.
    """
    labels, index, pairs = read_annotations(json_file)
    Path(out).mkdir(parents=True, exist_ok=True)
    write_labels(out, labels)
    write_split(out, split, make_rows(pairs, index, Path(images), Path(panoptic)), len(pairs))
    return len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Converts COCO panoptic annotations to parquet shards.")
    parser.add_argument("--images", required=True, help="folder of the photos")
    parser.add_argument("--panoptic", required=True, help="folder of the panoptic PNGs")
    parser.add_argument("--json", required=True, help="the panoptic json")
    parser.add_argument("--out", required=True, help="folder of the dataset")
    parser.add_argument("--split", required=True, help="name of the split, such as train or val")
    args = parser.parse_args()
    rows = convert(args.images, args.panoptic, args.json, args.out, args.split)
    print(f"{rows} images in {args.out}, split {args.split}")


if __name__ == "__main__":
    main()
