"""Pixels in, segments out: the image processors, augmentation and pictures."""
