"""Thresholds of the post-processing, in this one module for processors, training and scripts. The values are transformers'."""

THRESHOLD = 0.8  # a query's class probability, or an instance's score, below which it is no segment
MASK_THRESHOLD = 0.5  # a pixel's mask probability below which it lies outside the mask
OVERLAP_MASK_AREA_THRESHOLD = 0.8  # of its mask's area that a panoptic segment must win, a fraction
