"""Images to predict on: those of a folder, of parquet shards or of any dataset on the Hub, shared out over processes and read
ahead.

Shapes: W windows of an image, S pixels of a window's side; of a [`NamedImage`], H, W pixels.
"""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import datasets
from torch import Tensor
from torch.utils.data import IterableDataset

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import SHARD_NAME, load_split, shard_paths
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, images_by_stem, walk
from eomt.train_scripts.data.input_paths import LABELS_FILE
from eomt.train_scripts.data.samples import decode_image, name_of_file

AHEAD = 4  # inputs of the model that each thread may be ahead of it; an image is one, or all its windows and tiles


@dataclass(frozen=True)
class NamedImage:
    """An image without annotations."""

    image_id: str
    image: Tensor  # (3, H, W) uint8
    file_name: str  # with its suffix, below the folder of the images


def image_number(name: str) -> int | str:
    """The COCO id of an image that is named by it, such as 000000000139; any other name as it is."""
    return int(name) if re.fullmatch(r"\d{1,18}", name) else name


@dataclass(frozen=True)
class ImageSource:
    """
    Encoded images with names.

    Args:
        rows: makes an iterator of (name, file name, encoded image as `datasets` stores it), always in the same order.
        total: how many images there are; None if a stream doesn't say.
        left_out: files of the folder that are no images by their suffix.
    """

    rows: Callable[[], Iterator[tuple[str, str, dict]]]
    total: int | None
    left_out: Sequence[str] = ()


def open_source(name: str, split: str = "val", column: str = "image", without: Collection[Path] = ()) -> ImageSource:
    """
    Args:
        name: an image file; a folder of images and subfolders of images; a prepared dataset or any other folder of parquet files; a
            parquet file; or a dataset on the Hub.
        split: of a dataset. In a folder, parquet files that aren't named as shards of splits are all taken.
        column: of a dataset, that has the images. Their names are those in `image_id`, `id` or `__key__`, or else numbers.
        without: subfolders of a folder of images that are passed over, such as that of the predictions.

    Raises:
        ValueError: there are no images, or nothing of that name.
    """
    path = Path(name)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(lambda: iter([_file_row(path.stem, path, path.parent)]), 1)
    if path.is_dir() and not any(path.glob("*.parquet")):
        files = images_by_stem(path, without=without)
        others = (file for file in walk(path, without) if file.suffix.lower() not in IMAGE_SUFFIXES)
        left_out = [file.relative_to(path).as_posix() for file in others]
        return ImageSource(lambda: (_file_row(stem, file, path) for stem, file in files.items()), len(files), left_out)
    if path.is_dir() and (path / LABELS_FILE).is_file():
        rows = load_split(path, split)
    elif path.is_dir():
        files = sorted(path.glob("*.parquet"))
        rows = _parquet_rows(shard_paths(path, split) if any(SHARD_NAME.fullmatch(file.name) for file in files) else files, split)
    elif path.is_file() and path.suffix == ".parquet":
        rows = _parquet_rows([path], split)
    elif path.is_file():
        raise ValueError(f"images={name} ends in none of {', '.join((*IMAGE_SUFFIXES, '.parquet'))}; store it as one of these")
    else:
        try:
            rows = datasets.load_dataset(name, split=split, streaming=True)
        except OSError as error:  # no dataset of that name, or no network
            raise ValueError(
                f"images={name}: no such file or folder here, and the Hub doesn't give a dataset of that name ({error})"
            ) from error
    return ImageSource(lambda: _rows_of(rows, column, name), rows.info.splits[split].num_examples if rows.info.splits else None)


def _parquet_rows(paths: list[Path | str], split: str) -> datasets.IterableDataset:
    return datasets.load_dataset("parquet", data_files={split: list(map(str, paths))}, split=split, streaming=True)


def _file_row(stem: str, file: Path, folder: Path) -> tuple[str, str, dict]:
    return stem, file.relative_to(folder).as_posix(), {"bytes": None, "path": str(file)}


def _rows_of(rows: datasets.IterableDataset, column: str, source: str) -> Iterator[tuple[str, str, dict]]:
    for number, row in enumerate(rows.decode(False)):
        if column not in row:
            raise ValueError(f"images={source} has no column {column!r}, but {sorted(row)}. Choose one by column.")
        name = next((row[key] for key in ("image_id", "id", "__key__") if row.get(key) is not None), f"{number:08d}")
        encoded = {"bytes": row[column], "path": None} if isinstance(row[column], bytes) else row[column]
        if not isinstance(encoded, dict | None):
            raise ValueError(f"images={source} has {type(encoded).__name__} in the column {column!r}, not images. Choose another.")
        path = (encoded or {}).get("path")
        yield str(name), name_of_file(path) if path else str(name), encoded


class ImageStream(IterableDataset):
    """
    A process's share of a source. Threads decode and process images ahead of the model.

    Yields dicts: what `processor` makes of the image, `pixel_values` (W, 3, S, S), `image_layouts` (W, 4) and, if the image is
    split, `patch_offsets`; and `sample`, a [`NamedImage`]. Images that are broken or done are left out.

    Args:
        source: the images.
        processor: the image processor.
        is_done: name -> whether the image is done. Such an image is not read.
        world_size, rank: the share is every `world_size`-th image from `rank` on.
        threads: that decode.
    """

    def __init__(
        self,
        source: ImageSource,
        processor: Callable,
        is_done: Callable[[str], bool],
        world_size: int = 1,
        rank: int = 0,
        threads: int = 2,
    ):
        self.source, self.processor, self.is_done, self.threads = source, processor, is_done, threads
        self.world_size, self.rank = world_size, rank
        self.broken: dict[str, str] = {}  # of the last pass: name -> reason
        self.finished = 0  # images that were done before the last pass

    @property
    def share(self) -> int | None:
        """How many images this process predicts on, less those known to be done or broken; None if the source doesn't say."""
        if self.source.total is None:
            return None
        return len(range(self.rank, self.source.total, self.world_size)) - self.finished - len(self.broken)

    def __iter__(self) -> Iterator[dict]:
        self.broken, self.finished = {}, 0
        with ThreadPoolExecutor(self.threads) as pool:
            waiting = deque()  # in the order of the images, which results keep
            ahead = self.threads
            for name, file_name, encoded in self._share():
                waiting.append((name, pool.submit(self._read, name, file_name, encoded)))
                if len(waiting) > ahead:
                    for example in self._result(*waiting.popleft()):
                        ahead = max(self.threads, AHEAD * self.threads // len(example["pixel_values"]))
                        yield example
            while waiting:
                yield from self._result(*waiting.popleft())

    def _share(self) -> Iterator[tuple[str, str, dict]]:
        """The rows of this process that are not done.

        Raises:
            ValueError: two images of the source have one name, or numbers as names that are equal.
        """
        numbers = set()
        for position, (name, file_name, encoded) in enumerate(self.source.rows()):
            if (number := image_number(name)) in numbers:
                raise ValueError(f"two images have the name {number!r}, so that one would replace the other. Give each its own.")
            numbers.add(number)
            if position % self.world_size != self.rank:
                continue
            if self.is_done(name):
                self.finished += 1
                continue
            yield name, file_name, encoded

    def _read(self, name: str, file_name: str, encoded: dict) -> dict:
        image = decode_image(encoded, name)
        inputs = self.processor(images=[image], return_tensors="pt")
        sample = NamedImage(name, image, file_name)
        return {**inputs, "sample": sample}

    def _result(self, name: str, future: Future) -> Iterator[dict]:
        """What was made of an image; nothing if it is broken, which is recorded."""
        try:
            yield future.result()
        except BadSample as error:
            self.broken[name] = str(error)
