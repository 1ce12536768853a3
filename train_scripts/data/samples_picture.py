"""What a prepared split looks like: some of its images beside their segments."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import torch

from eomt.image_processing.pictures import GridRow, Segmentation, picture_grid
from eomt.train_scripts.data.dataset_folder import Labels, shard_paths
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample, decode_row

PICTURED = 12


def draw_samples(folder: str | Path, split: str, labels: Labels, images: int = PICTURED) -> None:
    """Draws some of a split's images with their segments, spread over it, to `<split>_samples.png` beside the shards."""
    rows = [GridRow(sample.image, _truth(sample)) for sample in _spread_samples(folder, split, images, len(labels))]
    picture_grid(rows, Path(folder) / f"{split}_samples.png", labels.names, labels.isthing, titles=("image", "labels"))


def _truth(sample: Sample) -> Segmentation:
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    return Segmentation(id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))


def _spread_samples(folder: str | Path, split: str, images: int, num_classes: int) -> Iterator[Sample]:
    """Reads no more than a row group for each."""
    groups = []
    for path in shard_paths(folder, split):
        footer = pq.read_metadata(path)
        groups += [(path, index, row) for index in range(footer.num_row_groups) for row in range(footer.row_group(index).num_rows)]
    for number in range(min(images, len(groups))):
        path, index, row = groups[number * len(groups) // min(images, len(groups))]
        table = pq.ParquetFile(path).read_row_group(index)
        yield decode_row(table.slice(row, 1).to_pylist()[0], num_classes, f"{folder}, split {split}")
