"""The stored form of a dataset: a folder of parquet shards `<split>-00000-of-00004.parquet` and `labels.json`.

The folder is on disk, or wherever fsspec reads, such as `hf://datasets/org/name` on the Hub.

A row of a shard has these columns; others are not read:

- `image_id`: text, unique in its split.
- `image`: an encoded image.
- `id_map`: an encoded, lossless PNG of the image's size that holds segment ids. It is 8-bit or 16-bit grey, or RGB with
  id = R + 256 G + 65536 B, as in COCO panoptic.
- `segments`: a table of the ids with class index and crowd flag. It must have every id of the map but 0. Id 0 is void unless
  the table has it.
- `rles`: null, or, where segments overlap, a mask for each segment in COCO's compressed run lengths; then `id_map` is null. All
  shards of a split have this column, or none.

`labels.json` holds the classes in the order of their indices: `{"classes": [{"name": "bee", "isthing": true}, ...]}`.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import datasets
import fsspec
import pyarrow.parquet as pq

from eomt.train_scripts.data.input_paths import LABELS_FILE, check_data_folder, no_data_folder

FEATURES = datasets.Features(
    {
        "image_id": datasets.Value("string"),
        "image": datasets.Image(),
        "id_map": datasets.Image(),
        "segments": datasets.List(
            {"id": datasets.Value("int64"), "category": datasets.Value("int64"), "iscrowd": datasets.Value("bool")}
        ),
        "rles": datasets.List(datasets.Value("string")),
    }
)
REQUIRED = set(FEATURES) - {"rles"}
SHARD_NAME = re.compile(r"(?P<split>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")


@dataclass(frozen=True)
class Labels:
    """The classes of a dataset. Invariant: `len(names) == len(isthing)`."""

    names: list[str]
    isthing: list[bool]

    def __len__(self) -> int:
        return len(self.names)


def read_labels(folder: str | Path) -> Labels:
    """The classes in the labels.json of `folder`.

    Raises:
        ValueError: the folder or the file is missing, or the file isn't of the form that the head of this module shows.
    """
    path = _files(folder).get(LABELS_FILE)
    if path is None:
        raise ValueError(
            f"{folder}/{LABELS_FILE}: no such file. A dataset needs one; see eomt.train_scripts.data.dataset_folder for its form."
        )
    try:
        with fsspec.open(str(path), "rb") as file:
            classes = json.load(file)["classes"]
        labels = Labels([str(entry["name"]) for entry in classes], [entry["isthing"] for entry in classes])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: can\'t be read ({error!r}). It must be {{"classes": [{{"name": "sky", "isthing": false}}, ...]}}.'
        ) from error
    if not len(labels):
        raise ValueError(f"{path}: `classes` is empty. Give at least one class.")
    for name, isthing in zip(labels.names, labels.isthing, strict=True):
        if isthing not in (False, True):  # 0 and 1 are equal to these
            raise ValueError(f"{path}: isthing of {name!r} is {isthing!r}. It must be true or false.")
    return Labels(labels.names, list(map(bool, labels.isthing)))


def write_labels(folder: str | Path, labels: Labels) -> None:
    """Writes labels.json. All splits share it: one that is there already must have the same classes.

    Raises:
        ValueError: `folder` has a labels.json with other classes.
    """
    path = Path(folder) / LABELS_FILE
    if path.is_file():
        if read_labels(folder) != labels:
            raise ValueError(f"{path} has other classes than those to be written. Choose another folder or remove it.")
        return
    entries = [{"name": name, "isthing": isthing} for name, isthing in zip(labels.names, labels.isthing, strict=True)]
    path.write_text(json.dumps({"classes": entries}, indent=1))


def shard_paths(folder: str | Path, split: str) -> list[Path | str]:
    """The shards of a split in order: paths, or URLs if `folder` is one.

    Raises:
        ValueError: the folder or the split is missing, shards are missing, or two sets of shards are mixed.
    """
    shards = [(match, path) for name, path in _files(folder).items() if (match := SHARD_NAME.fullmatch(name))]
    of_split = [(int(match["index"]), int(match["count"]), path) for match, path in shards if match["split"] == split]
    if not of_split:
        known = split_names(folder)
        raise ValueError(f"split {split!r} is not in {folder}, which has {known or 'no shards'}. Choose one of these.")
    counts = {count for _, count, _ in of_split}
    if len(counts) > 1:
        raise ValueError(f"{folder} mixes {split} shards of sets of {sorted(counts)}. Remove those of the older set.")
    missing = sorted(set(range(counts.pop())) - {index for index, _, _ in of_split})
    if missing:
        raise ValueError(f"{folder} lacks the {split} shards {missing}: it is half-written. Write the split again.")
    return [path for _, _, path in of_split]


def count_rows(folder: str | Path, split: str) -> int:
    """The number of images in a split, from the footers of its shards."""
    return sum(_footer(path).num_rows for path in shard_paths(folder, split))


def split_digest(folder: str | Path, split: str) -> str:
    """A digest that changes when the split is written again from other images or annotations.

    It is of the footers of the shards, which hold offset, size and bounds of each column of each row group. No row is read.
    """
    digest = hashlib.sha256()
    for path in shard_paths(folder, split):
        digest.update(json.dumps(_footer(path).to_dict(), default=str).encode())
    return digest.hexdigest()[:16]


def load_split(folder: str | Path, split: str, streaming: bool = True) -> datasets.IterableDataset | datasets.Dataset:
    """The rows of a split. Their images are left encoded, as `{"bytes": ..., "path": ...}`.

    Args:
        folder, split: a dataset of this module's form.
        streaming: True gives a stream, which is shuffled and shared out by the row groups of the shards. False gives random
            access, through a copy in the cache of `datasets`.

    Raises:
        ValueError: something is missing in the folder, or a shard is broken, lacks columns, or has `rles` where another hasn't.
    """
    paths = shard_paths(folder, split)
    columns = {path: set(_footer(path).schema.to_arrow_schema().names) & set(FEATURES) for path in paths}
    for path, names in columns.items():
        if absent := REQUIRED - names:
            raise ValueError(f"{path} lacks the columns {sorted(absent)}. Its columns must be {sorted(REQUIRED)}, and may be rles.")
        if names != columns[paths[0]]:
            raise ValueError(
                f"{path} and {paths[0]}: one has the column rles, one has not. Write it in all, null where not needed."
            )
    features = datasets.Features({name: feature for name, feature in FEATURES.items() if name in columns[paths[0]]})
    rows = datasets.load_dataset(
        "parquet",
        data_files={split: list(map(str, paths))},
        split=split,
        streaming=streaming,
        features=features,
        columns=list(features),
    )
    if not streaming:
        return rows.cast_column("image", datasets.Image(decode=False)).cast_column("id_map", datasets.Image(decode=False))
    return rows.decode(False).reshard()  # from a piece for each shard to a piece for each row group


def split_names(folder: str | Path) -> list[str]:
    """The splits that a folder has shards of, in the order of their names."""
    return sorted({match["split"] for name in _files(folder) if (match := SHARD_NAME.fullmatch(name))})


def has_split(folder: str | Path, split: str) -> bool:
    """Whether a folder on disk has a shard of the split."""
    return any((match := SHARD_NAME.fullmatch(path.name)) and match["split"] == split for path in Path(folder).glob("*.parquet"))


def check_split_is_new(folder: str | Path, split: str) -> None:
    """
    Raises:
        ValueError: a folder on disk has shards of the split.
    """
    if has_split(folder, split):
        raise ValueError(f"{folder} has a split {split!r} already. Remove its shards or choose another folder.")


def _files(folder: str | Path) -> dict[str, Path | str]:
    """{name: path or URL} of the entries of a folder, sorted by name.

    Raises:
        ValueError: there is no such folder.
    """
    check_data_folder(folder)
    if "://" not in str(folder):
        return {path.name: path for path in sorted(Path(folder).iterdir())}
    system, root = fsspec.url_to_fs(str(folder))
    try:
        paths = sorted(system.ls(root, detail=False))
    except FileNotFoundError:
        raise no_data_folder(folder) from None
    return {path.rsplit("/", 1)[-1]: system.unstrip_protocol(path) for path in paths}


def _footer(path: Path | str) -> pq.FileMetaData:
    """
    Raises:
        ValueError: the file isn't complete.
    """
    try:
        with fsspec.open(str(path), "rb") as file:
            return pq.read_metadata(file)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise ValueError(f"{path}: not a complete parquet file ({error}). Write the split again.") from error
