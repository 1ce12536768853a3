"""A report of what a split holds, in which wrong labels are seen before training."""

import json
import math
import os
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample

NAMED = 20  # images, and annotations, that were left out whose reasons are kept


CELLS = 4  # of a mask, that an object needs along each side to be found well
STRIDE = 4  # pixels of a model's input a cell


@dataclass
class SplitReport:
    """
    Counts over the images of a split. The reports of shards add up to that of the split.

    The keys of `class_...` are class indices as text, and those of `sizes` are "width x height". Those of `class_sides` are an
    index and the side of a square of a segment's area, in thousandths of the image's long side (hundredths from 100 on): "3 21".
    """

    images: int = 0
    segments: int = 0
    crowds: int = 0
    without_segments: int = 0  # images
    overlapping: int = 0  # images with segments that overlap
    dropped: int = 0  # segments without a pixel, which were left out
    repaired: Counter = field(default_factory=Counter)  # what was changed in reading: how often
    left_out: Counter = field(default_factory=Counter)  # annotations whose image was kept, by kind of fault
    left_out_named: list[str] = field(default_factory=list)  # the reasons of the first of them
    most_segments: int = 0  # in an image
    void_pixels: int = 0
    pixels: int = 0
    class_images: Counter = field(default_factory=Counter)
    class_segments: Counter = field(default_factory=Counter)
    class_pixels: Counter = field(default_factory=Counter)
    class_sides: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)  # images that were left out, by kind of reason
    skipped_named: list[str] = field(default_factory=list)  # the reasons of the first of them

    def add(self, sample: Sample) -> None:
        """Counts an image."""
        labels = sample.class_labels.numpy()
        height, width = sample.image.shape[1:]
        self.images += 1
        self.segments += len(labels)
        self.crowds += int(sample.is_crowd.sum())
        self.without_segments += not len(labels)
        self.overlapping += sample.id_map.ndim == 3
        self.most_segments = max(self.most_segments, len(labels))
        self.pixels += height * width
        self.sizes[f"{width} x {height}"] += 1
        self.class_images.update(map(str, set(labels.tolist())))
        self.class_segments.update(map(str, labels.tolist()))
        ids, counts = np.unique(sample.id_map.numpy(), return_counts=True)
        areas = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        for segment, label, crowd in zip(*(part.tolist() for part in (sample.segment_ids, labels, sample.is_crowd)), strict=True):
            self.class_pixels[str(label)] += areas[segment]
            if crowd:
                continue
            side = round(1000 * areas[segment] ** 0.5 / max(height, width))
            self.class_sides[f"{label} {side if side < 100 else round(side, -1)}"] += 1
        covered = np.isin(sample.id_map.numpy(), sample.segment_ids.numpy())
        covered = covered.any(0) if covered.ndim == 3 else covered
        self.void_pixels += int((~covered).sum())

    def skip(self, kind: str, reason: str) -> None:
        """Counts an image that is left out."""
        self.skipped[kind] += 1
        if len(self.skipped_named) < NAMED:
            self.skipped_named.append(reason)

    def leave_out(self, kind: str, reason: str) -> None:
        """Counts an annotation that is left out, while its image is kept."""
        self.left_out[kind] += 1
        if len(self.left_out_named) < NAMED:
            self.left_out_named.append(reason)

    def merge(self, other: "SplitReport") -> None:
        """Adds the counts of another shard's report."""
        for name, value in vars(other).items():
            if name == "most_segments":
                self.most_segments = max(self.most_segments, value)
            elif isinstance(value, Counter):
                getattr(self, name).update(value)
            elif isinstance(value, int):
                setattr(self, name, getattr(self, name) + value)
        self.skipped_named = (self.skipped_named + other.skipped_named)[:NAMED]
        self.left_out_named = (self.left_out_named + other.left_out_named)[:NAMED]

    def save(self, path: Path, **more: str) -> None:
        """Writes a json file of the counts and of `more` entries. The file appears when it is whole."""
        part = path.with_name(f"{path.name}.partial")
        part.write_text(json.dumps({**vars(self), **more}, indent=1))
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> "SplitReport":
        """Reads a report that [`save`] wrote, without its other entries."""
        known = {entry.name for entry in fields(cls)}
        stored = {name: value for name, value in json.loads(path.read_text()).items() if name in known}
        return cls(**{name: Counter(value) if isinstance(value, dict) else value for name, value in stored.items()})

    @classmethod
    def beside(cls, data: str, split: str) -> "SplitReport | None":
        """The report that lies beside the shards of a split; None if there is none, or the data are elsewhere than on the disk."""
        path = Path(data) / f"{split}_report.json"
        return cls.load(path) if "://" not in data and path.is_file() else None

    def text(self, split: str, labels: Labels) -> str:
        """The report as lines of text."""
        share = 100 / max(1, self.pixels)
        lines = [
            f"{split}: {self.images} images, {self.segments} segments ({self.crowds} crowds; at most {self.most_segments} in an "
            f"image), {self.without_segments} images without any, {self.overlapping} with overlaps, "
            f"{share * self.void_pixels:.1f} % void"
        ]
        if self.dropped:
            lines.append(f"{self.dropped} segments without a pixel were left out")
        lines += [f"repaired: {count} {reason}" for reason, count in self.repaired.most_common()]
        sizes = ", ".join(f"{size} ({count})" for size, count in self.sizes.most_common(5))
        lines.append(f"sizes: {sizes}{f' and {len(self.sizes) - 5} others' if len(self.sizes) > 5 else ''}")
        width = max(6, *(len(name) for name in labels.names)) + 2
        lines.append(f"{'class':<{width}}{'kind':<6}{'images':>9}{'segments':>10}{'pixels %':>10}")
        for index, (name, isthing) in enumerate(zip(labels.names, labels.isthing, strict=True)):
            key = str(index)
            counts = f"{self.class_images[key]:>9}{self.class_segments[key]:>10}{share * self.class_pixels[key]:>10.2f}"
            lines.append(f"{name:<{width}}{'thing' if isthing else 'stuff':<6}{counts}")
        if (sides := sides_of_things(self, labels)) is not None:
            inputs = " and ".join(str(needed_input(side)) for side in sides)
            lines.append(
                "things: half are narrower than {:.1f} % of the image's long side, a tenth than {:.1f} %; ".format(*sides)
                + f"an input of {inputs} pixels shows them in {CELLS} cells of a mask. What has fewer is hardly found: train at a "
                "larger scale, as the recipe instance does, and predict with --tiles"
            )
        if unseen := [name for index, name in enumerate(labels.names) if not self.class_images[str(index)]]:
            lines.append(f"never seen: {', '.join(unseen)}")
        if self.left_out:
            lines.append("annotations left out: " + ", ".join(f"{count} {kind}" for kind, count in self.left_out.most_common()))
            lines += [f"  {reason}" for reason in self.left_out_named]
        if self.skipped:
            lines.append("left out: " + ", ".join(f"{count} {kind}" for kind, count in self.skipped.most_common()))
            lines += [f"  {reason}" for reason in self.skipped_named]
        return "\n".join(lines)


def sides_of_things(report: SplitReport, labels: Labels) -> tuple[float, float] | None:
    """The sides that half and a tenth of the things stay below, in percent of the image's long side; None without things."""
    sides: Counter = Counter()
    for key, count in report.class_sides.items():
        label, side = map(int, key.split())
        if labels.isthing[label]:
            sides[side] += count
    if not sides:
        return None
    values, counts = (np.array(part) for part in zip(*sorted(sides.items()), strict=True))
    reached = counts.cumsum() / counts.sum()
    half, tenth = (max(1, int(values[np.searchsorted(reached, share)])) / 10 for share in (0.5, 0.1))
    return half, tenth


def needed_input(side: float) -> int:
    """The side of a model's input, in tens of pixels, in which an object of so many percent of the image's has `CELLS` cells."""
    return 10 * math.ceil(10 * CELLS * STRIDE / side)
