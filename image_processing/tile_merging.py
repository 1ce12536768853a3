"""Instances of overlapping views of an image -> instances of the image.

An object is seen several times: in the whole image, in tiles that hold it, and cut by the edges of others. One of these stays. What
a tile holds uncut is the best, being the sharpest; then come what pieces of several tiles are together, the whole image, and what
is still cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask as coco_mask

from eomt.image_processing.instance import Instance
from eomt.image_processing.sizes import Size

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the image, ends exclusive
SAME = 0.5  # overlap from which on two views show one object
COARSE = 8.0  # times that the whole image's blurred mask may have the area of the object, or the object that of the mask
RIVAL = 0.5  # share of a candidate's score that another needs to take its place
SEEN = 0.1  # share of a piece that the other tile must see as well, to tell whether they belong together
EDGE = 1  # pixels: nearer to an inner edge, an object is cut by it


@dataclass(frozen=True)
class Candidate:
    """
    Args:
        label_id, score: as those of an `Instance`.
        box, rle: in the whole image; run lengths are COCO's.
        view: its number; 0 is the whole image.
        cut_at: whether the left, top, right and lower edge of the view cut it, unless that edge is the image's.
        pieces: that it was joined from.
    """

    label_id: int
    score: float
    box: Box
    rle: dict
    view: int
    cut_at: tuple[bool, bool, bool, bool]
    pieces: int = 1

    @property
    def cut(self) -> bool:
        return any(self.cut_at)

    @classmethod
    def of(cls, instance: Instance, view: int, frame: Box, size: Size) -> "Candidate":
        """An instance of a view, whose mask is run lengths in the whole image.

        Args:
            frame: of the view in the image.
            size: of the image.
        """
        x0, y0, x1, y1 = instance.box
        left, top, right, bottom = frame
        height, width = size
        box = (x0 + left, y0 + top, x1 + left, y1 + top)
        cut_at = (
            left > 0 and box[0] <= left + EDGE,
            top > 0 and box[1] <= top + EDGE,
            right < width and box[2] >= right - EDGE,
            bottom < height and box[3] >= bottom - EDGE,
        )
        return cls(instance.label_id, instance.score, box, instance.mask, view, cut_at)


def merge_views(views: Sequence[Sequence[Candidate]], tiles: Sequence[Box], size: Size) -> list[Candidate]:
    """The instances of an image, the best first.

    A candidate is left out if one of another view has its place: of the same class, at least half of its score, and an overlap
    above a half. Overlap is intersection over union; for cut and joined candidates the covered share of the smaller of the two; and
    so for those of the whole image, as far as the areas are alike. Within a view nothing is left out.

    Args:
        views: the candidates of the whole image, then those of each tile.
        tiles: their frames.
        size: of the image.
    """
    whole, *of_tiles = views
    in_tiles = [candidate for tile in of_tiles for candidate in tile]
    uncut = [candidate for candidate in in_tiles if not candidate.cut]
    joined = join_cut([candidate for candidate in in_tiles if candidate.cut], tiles, size)
    complete = [candidate for candidate in joined if not candidate.cut]
    cut = [candidate for candidate in joined if candidate.cut]
    kept: list[Candidate] = []
    for label in sorted({candidate.label_id for candidate in (*whole, *in_tiles)}):
        ranked = [
            candidate
            for group in (uncut, complete, whole, cut)
            for candidate in sorted(group, key=lambda candidate: -candidate.score)
            if candidate.label_id == label
        ]
        kept += _without_copies(ranked)
    return sorted(kept, key=lambda candidate: -candidate.score)


def _without_copies(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of one class, less those whose place an earlier one has that stays."""
    scores, views = np.array([one.score for one in ranked]), np.array([one.view for one in ranked])
    boxes = np.array([one.box for one in ranked])
    stays = np.zeros(len(ranked), dtype=bool)
    for index, candidate in enumerate(ranked):  # one at a time, and boxes first: large images have tens of thousands
        rivals = stays & (views != candidate.view) & (scores >= RIVAL * candidate.score) & _meet(boxes, candidate.box)
        stays[index] = not (_overlaps(candidate, [ranked[one] for one in np.flatnonzero(rivals)]) > SAME).any()
    return [candidate for candidate, one in zip(ranked, stays, strict=True) if one]


def _meet(boxes: np.ndarray, box: Box) -> np.ndarray:
    """Which of (n, 4) boxes share a pixel with a box."""
    x0, y0, x1, y1 = boxes.T
    return (np.maximum(x0, box[0]) < np.minimum(x1, box[2])) & (np.maximum(y0, box[1]) < np.minimum(y1, box[3]))


def _overlaps(candidate: Candidate, others: Sequence[Candidate]) -> np.ndarray:
    """(n,): of a candidate with n others, by what the candidate is; see [`merge_views`]."""
    if not others:
        return np.zeros(0)
    own, rles = [candidate.rle], [other.rle for other in others]
    union = coco_mask.iou(own, rles, [False] * len(rles))[0]
    joined = candidate.pieces > 1 or candidate.cut
    if not joined and candidate.view != 0:
        return union
    covered = coco_mask.iou(own, rles, [True] * len(rles))[0]  # of a crowd: intersection over the first's area
    covering = coco_mask.iou(rles, own, [True])[:, 0]
    of_smaller = np.maximum(covered, covering)
    return of_smaller if joined else np.where(of_smaller <= COARSE * np.minimum(covered, covering), of_smaller, union)


def join_cut(cut: Sequence[Candidate], tiles: Sequence[Box], size: Size) -> list[Candidate]:
    """Joins the pieces of objects: candidates of one class in two tiles which agree where both tiles see them.

    Args:
        cut: candidates of tiles, whose views count from 1.
        tiles: their frames.
        size: of the image.

    Returns:
        The joined ones, with the best score of their pieces, and what found no other piece. A joined one is cut where its outermost
        piece is.
    """
    group_of = list(range(len(cut)))

    def root(index: int) -> int:
        while group_of[index] != index:
            index = group_of[index]
        return index

    for first, second in _neighbours(cut):
        shared = intersection(tiles[cut[first].view - 1], tiles[cut[second].view - 1])
        if shared is not None and _agree(cut[first].rle, cut[second].rle, shared, size):
            group_of[root(first)] = root(second)
    groups: dict[int, list[Candidate]] = {}
    for index, candidate in enumerate(cut):
        groups.setdefault(root(index), []).append(candidate)
    return [_joined(pieces) for pieces in groups.values()]


def _neighbours(cut: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Pairs of one class in different tiles whose boxes meet and whose scores are alike."""
    if not cut:
        return []
    boxes = np.array([candidate.box for candidate in cut])
    labels, views, scores = (np.array([getattr(one, name) for one in cut]) for name in ("label_id", "view", "score"))
    pairs = []
    for index, one in enumerate(cut):
        alike = np.minimum(scores, one.score) >= RIVAL * np.maximum(scores, one.score)
        pair = _meet(boxes, one.box) & alike & (labels == one.label_id) & (views != one.view)
        pairs += [(index, other) for other in np.flatnonzero(pair).tolist() if other > index]
    return pairs


def intersection(first: Box, second: Box) -> Box | None:
    """Of two boxes, or None."""
    box = (max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3]))
    return box if box[0] < box[2] and box[1] < box[3] else None


def _agree(first: dict, second: dict, shared: Box, size: Size) -> bool:
    """Whether two masks are the same object where both are seen."""
    x0, y0, x1, y1 = shared
    (window,) = coco_mask.frPyObjects([[x0, y0, x1, y0, x1, y1, x0, y1]], *size)
    if coco_mask.iou([first, second], [window], [True]).min() < SEEN:
        return False
    seen = [coco_mask.merge([mask, window], intersect=True) for mask in (first, second)]
    return coco_mask.iou(seen[:1], seen[1:], [False])[0][0] > SAME


def _joined(pieces: Sequence[Candidate]) -> Candidate:
    if len(pieces) == 1:
        return pieces[0]
    best = max(pieces, key=lambda piece: piece.score)
    corners, cut_at = np.array([piece.box for piece in pieces]), np.array([piece.cut_at for piece in pieces])
    box = np.concatenate([corners[:, :2].min(0), corners[:, 2:].max(0)])
    cut = ((np.abs(corners - box) > 2 * EDGE) | cut_at).all(0)  # no piece ends there uncut
    rle = coco_mask.merge([piece.rle for piece in pieces])
    return replace(best, box=tuple(box.tolist()), rle=rle, cut_at=tuple(cut.tolist()), pieces=len(pieces))
