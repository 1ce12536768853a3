"""Pixels in, segments out: the image processors, augmentation and pictures."""

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil

__all__ = ["EomtImageProcessor", "EomtImageProcessorPil"]
