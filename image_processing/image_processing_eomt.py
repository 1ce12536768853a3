"""The image processor on torchvision: tensors, on the CPU or a GPU."""

import torch
import torch.nn.functional as F
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_transforms import group_images_by_shape, reorder_images
from transformers.image_utils import PILImageResampling, SizeDict

from eomt.image_processing.processor import EomtImageProcessorKwargs, EomtProcessorBase
from eomt.image_processing.sizes import Layout, Size


class EomtImageProcessor(EomtProcessorBase, TorchvisionBackend):
    __doc__ = EomtProcessorBase.__doc__
    valid_kwargs = EomtImageProcessorKwargs  # by this name in each processor's module, where transformers' tests look for it
    filters = tuple(PILImageResampling(number) for number in range(4))  # torch has no others

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
        disable_grouping: bool | None,
        device: torch.device | str | None,
        **kwargs,
    ) -> list[list[torch.Tensor]]:
        """The model inputs of each image: resized, cut, padded with zeros, then rescaled and normalised.

        Images of one size go through in one batch (on the GPU, or with `disable_grouping=False`).
        """
        images = images if device is None else [image.to(device) for image in images]
        layout_of_size = {tuple(image.shape[-2:]): layout for image, layout in zip(images, layouts, strict=True)}
        batches, index = group_images_by_shape(images, disable_grouping=disable_grouping)
        processed = {}
        for key, batch in batches.items():
            layout = layout_of_size[tuple(batch.shape[-2:])]
            if layout.content != tuple(batch.shape[-2:]):
                batch = self.resize(batch, SizeDict(*layout.content), resample=resample)
            windows = [
                self.rescale_and_normalize(
                    pad(batch[:, :, rows, cols], layout.canvas), do_rescale, rescale_factor, do_normalize, image_mean, image_std
                )
                for rows, cols in layout.crops()
            ]
            processed[key] = torch.stack(windows, 1)  # (images, windows, 3, H, W)
        return [list(windows) for windows in reorder_images(processed, index)]


def pad(images: torch.Tensor, canvas: Size) -> torch.Tensor:
    """Black pixels at the right and bottom of (..., h, w), up to `canvas`."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, canvas[1] - width, 0, canvas[0] - height))
