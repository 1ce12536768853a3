"""Whose things are pasted over a training sample: those of an earlier sample of a similar kind.

Shapes: S pixels of a crop's side, H, W pixels of an image.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from eomt.image_processing.copy_paste import LabelledCrop, paste_segments, random_things
from eomt.randomness import key_of
from eomt.train_scripts.data.samples import Sample

REMEMBERED = 16  # rows before a sample, of which one may be its partner
TOLERANCE = 32  # of 255 levels
GREY = 4  # levels between the strongest and the weakest channel, on average: an image of less has no colours
LOOKED_AT = 64  # pixels of an image's shorter side that its kind is told from


@dataclass(frozen=True)
class CopyPaste:
    """
    Copy-paste in a training stream.

    Args:
        probability: that a sample is pasted over, if there is a partner.
        is_thing: of each class of the task; only things are pasted.

    Raises:
        ValueError: the probability is none, or there are no things.
    """

    probability: float
    is_thing: Sequence[bool]

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ValueError(f"copy_paste={self.probability} must be a probability, from 0 to 1")
        if not any(self.is_thing):
            raise ValueError(
                f"copy_paste={self.probability} pastes things, but labels.json has none; set isthing there, or leave it out"
            )


@dataclass(frozen=True)
class Kind:
    """What an image looks like, by means in 0..255.

    Args:
        background: red, green and blue of the pixels that are no thing; of all, if things are everywhere.
        colourfulness: the difference between the strongest and the weakest channel, over all pixels.
    """

    background: tuple[float, float, float]
    colourfulness: float

    @classmethod
    def of(cls, sample: Sample, is_thing: Sequence[bool]) -> "Kind":
        """The kind of a whole image, before its augmentation, told from every so many-th pixel."""
        step = max(1, min(sample.image.shape[1:]) // LOOKED_AT)
        pixels = sample.image[:, ::step, ::step].numpy().astype(np.int32)  # (3, h, w)
        ids = sample.id_map[..., ::step, ::step].numpy()
        things = np.isin(ids, sample.segment_ids[torch.tensor(is_thing)[sample.class_labels]].numpy().astype(np.int32))
        background = ~(things if things.ndim == 2 else things.any(0))
        shown = pixels[:, background] if background.any() else pixels
        return cls(tuple(shown.reshape(3, -1).mean(1).tolist()), float((pixels.max(0) - pixels.min(0)).mean()))

    def is_like(self, other: "Kind") -> bool:
        """Whether both are grey or neither is, and no mean differs by more than `TOLERANCE`."""
        ours, theirs = ((*kind.background, kind.colourfulness) for kind in (self, other))
        both = (self.colourfulness < GREY) == (other.colourfulness < GREY)
        return both and all(abs(one - two) <= TOLERANCE for one, two in zip(ours, theirs, strict=True))


class PastePartners:
    """
    The crops of the last rows that a worker has read, and what of them is pasted over the next.

    A sample's partner is drawn from the `REMEMBERED` rows before its own, those of the epoch before included. It shows a thing, and
    its image is of a similar kind. A set of microscopy may mix dark fluorescence with bright stained tissue, whose nuclei would be
    absurd in each other. Two images are alike if both are grey or both coloured, and neither a channel of what is behind the things
    nor the colourfulness of the whole differs by more than 32 of 255 levels, on average. Where none is alike, nothing is pasted.

    A partner's crop is that which it was trained with, before anything was pasted over it. So pasting decodes and augments nothing
    again, and remembers 7 S^2 bytes a row: 46 MB a worker at 640 pixels.

    Args:
        copy_paste: how often, and what.
    """

    def __init__(self, copy_paste: CopyPaste):
        self.copy_paste = copy_paste
        self._recent: deque[tuple[int, Kind, LabelledCrop]] = deque()

    def end_epoch(self, rows: int) -> None:
        """Counts rows anew after an epoch, whose share for this worker had so many."""
        self._recent = deque((row - rows, kind, crop) for row, kind, crop in self._recent)

    def paste(self, augmented: dict, sample: Sample, row: int, key: int) -> dict:
        """An augmented sample with things of a partner, if it gets any. It is remembered without them.

        Args:
            augmented: as `augment` gives it.
            sample: that it was made from.
            row: its number in the worker's share of the epoch, larger than in the last call.
            key: with the rows before, it decides whether and what is pasted.
        """
        crop = LabelledCrop(**{name: augmented[name] for name in LabelledCrop.__dataclass_fields__})
        kind, is_thing = Kind.of(sample, self.copy_paste.is_thing), self.copy_paste.is_thing
        while self._recent and self._recent[0][0] < row - REMEMBERED:
            self._recent.popleft()
        partners = [other for _, other_kind, other in self._recent if kind.is_like(other_kind)]
        if torch.tensor(is_thing)[crop.class_labels].any():
            # a copy: a DataLoader's worker moves what it hands out to shared memory, in a thread, while this one goes on
            self._recent.append((row, kind, LabelledCrop(**{name: part.clone() for name, part in vars(crop).items()})))
        generator = torch.Generator().manual_seed(key_of(key, "copy-paste"))
        if torch.rand((), generator=generator) >= self.copy_paste.probability or not partners:
            return augmented
        partner = partners[int(torch.randint(len(partners), (), generator=generator))]
        chosen = random_things(partner, is_thing, generator)
        return {**augmented, **vars(paste_segments(crop, partner, chosen, is_thing))}
