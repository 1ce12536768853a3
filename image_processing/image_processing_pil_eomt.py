"""The image processor on PIL and NumPy."""

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling, SizeDict

from eomt.image_processing.pixels import CHANNELS
from eomt.image_processing.processor import EomtImageProcessorKwargs, EomtProcessorBase
from eomt.image_processing.sizes import Layout, Size


class EomtImageProcessorPil(EomtProcessorBase, PilBackend):
    __doc__ = EomtProcessorBase.__doc__
    valid_kwargs = EomtImageProcessorKwargs  # by this name in each processor's module, where transformers' tests look for it

    def _preprocess(
        self,
        images: list[torch.Tensor],
        layouts: list[Layout],
        *,
        resample: PILImageResampling | int | None,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: tuple[float, ...],
        image_std: tuple[float, ...],
        **kwargs,
    ) -> list[list[np.ndarray]]:
        """The model inputs of each image: resized, cut, padded with zeros, then rescaled and normalised."""
        processed = []
        for image, layout in zip(images, layouts, strict=True):
            array = self._resize(image.detach().cpu().numpy(), layout.content, resample)
            windows = [pad(array[:, rows, cols], layout.canvas) for rows, cols in layout.crops()]
            if do_rescale:
                windows = [self.rescale(window, rescale_factor) for window in windows]
            if do_normalize:
                windows = [self.normalize(window, image_mean, image_std) for window in windows]
            processed.append(windows)
        return processed

    def _resize(self, image: np.ndarray, size: Size, resample: PILImageResampling | int | None) -> np.ndarray:
        """(C, H, W) -> (C, *size)."""
        if image.shape[-2:] == size:
            return image
        if image.dtype == np.uint8 and len(image) in CHANNELS:
            return self.resize(image, SizeDict(*size), resample)
        # PIL has images of floats with one channel alone, and none of many channels
        planes = [Image.fromarray(plane).resize(size[::-1], resample) for plane in image]
        return np.stack([np.asarray(plane) for plane in planes])


def pad(image: np.ndarray, canvas: Size) -> np.ndarray:
    """Black pixels at the right and bottom of (C, h, w), up to `canvas`."""
    height, width = image.shape[-2:]
    return np.pad(image, ((0, 0), (0, canvas[0] - height), (0, canvas[1] - width)))
