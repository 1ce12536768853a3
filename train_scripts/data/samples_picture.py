"""A picture of a prepared split: some of its images beside their segments."""

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
    """Draws some of a split's images beside their segments, to `<split>_samples.png` in `folder`.

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`, on disk.
        labels: its classes.
        images: how many are drawn, at most; they are spread evenly over the split.
    """
    rows = [GridRow(sample.image, _segmentation(sample)) for sample in _spread_samples(folder, split, images, len(labels))]
    picture_grid(rows, Path(folder) / f"{split}_samples.png", labels.names, labels.isthing, titles=("image", "labels"))


def _segmentation(sample: Sample) -> Segmentation:
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    return Segmentation(id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))


def _spread_samples(folder: str | Path, split: str, images: int, num_classes: int) -> Iterator[Sample]:
    """Samples at even distances. Reads a row group for each, never a whole shard."""
    positions = []  # of each row: shard, row group, row in the group
    for path in shard_paths(folder, split):
        footer = pq.read_metadata(path)
        for group in range(footer.num_row_groups):
            positions += [(path, group, row) for row in range(footer.row_group(group).num_rows)]
    count = min(images, len(positions))
    for index in range(count):
        path, group, row = positions[index * len(positions) // count]
        table = pq.ParquetFile(path).read_row_group(group)
        yield decode_row(table.slice(row, 1).to_pylist()[0], num_classes, f"{folder}, split {split}")
