"""Thresholds of post-processing, where nobody gives others: those of transformers' image processor."""

THRESHOLD = 0.8  # class score that a query needs to become a segment
MASK_THRESHOLD = 0.5  # probability from which on a pixel belongs to a mask
OVERLAP_MASK_AREA_THRESHOLD = 0.8  # share of its mask's area that a query must win to stay
