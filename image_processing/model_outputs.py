"""What post-processing reads from a model's outputs: logits, and where each image lies in the model's inputs.

Shapes: B model inputs, Q queries, C classes, h, w logits of a mask.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.image_utils import SizeDict

from eomt.image_processing.sizes import Layout, Size, canvas_size, check_target_sizes, image_layout
from eomt.image_processing.windows import check_offsets, read_offsets


@dataclass(frozen=True)
class ResizeSettings:
    """How a processor resized and padded images, for outputs that don't state their layouts."""

    size: SizeDict | dict[str, int]
    do_resize: bool
    do_pad: bool

    def layout(self, image_size: Size, do_split: bool) -> Layout:
        return image_layout(image_size, self.size, self.do_resize, do_split, self.do_pad)


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs of [`EomtForUniversalSegmentation`] or of transformers' own model, in float32 and detached."""

    mask_logits: torch.Tensor  # (B, Q, h, w)
    class_logits: torch.Tensor  # (B, Q, C + 1), no-object last
    offsets: list[tuple[int, int, int]]  # image, first pixel, one past the last, of each window; empty without windows
    layouts: list[Layout] | None  # of each model input; None where the outputs don't state them

    @classmethod
    def read(cls, outputs: Any) -> "ModelOutputs":
        # transformers' own outputs have no image_layouts, those of its other models no patch_offsets
        mask_logits = outputs.masks_queries_logits.detach().float()
        return cls(
            mask_logits,
            outputs.class_queries_logits.detach().float(),
            read_offsets(getattr(outputs, "patch_offsets", None)),
            read_layouts(getattr(outputs, "image_layouts", None), len(mask_logits)),
        )

    @property
    def num_classes(self) -> int:
        return self.class_logits.shape[-1] - 1

    def whole_images(self, target_sizes: Sequence[Size] | None, settings: ResizeSettings) -> list[tuple[Layout, Size]]:
        """Layout and target size of each image, where none was split.

        Without `target_sizes` results are as large as the model's input, padding included.

        Raises:
            ValueError: without `target_sizes`, where neither outputs nor settings say how large the model's input was.
        """
        if target_sizes is None:
            if self.layouts is not None:
                canvases = [layout.canvas for layout in self.layouts]
            elif settings.do_resize and settings.do_pad:
                canvases = [canvas_size(settings.size)] * len(self.mask_logits)
            else:
                raise ValueError(
                    f"target_sizes is None, and with do_resize={settings.do_resize} and do_pad={settings.do_pad} the outputs "
                    "don't say how large the model's input was. Pass each (height, width), or the processor's image_layouts to "
                    "the model."
                )
            return [(Layout(canvas, canvas), canvas) for canvas in canvases]
        targets = check_target_sizes(target_sizes, len(self.mask_logits))
        layouts = self.layouts
        if layouts is None:
            layouts = [settings.layout(target, do_split=False) for target in targets]
        return list(zip(layouts, targets, strict=True))

    def split_images(
        self, target_sizes: Sequence[Size] | None, settings: ResizeSettings
    ) -> list[tuple[Layout, Size, dict[int, tuple[int, int]]]]:
        """Layout and target size of each image, and its windows as {index of the model input: (first pixel, one past the last)}.

        Raises:
            ValueError: without `target_sizes`, or when offsets, outputs and sizes are of different batches.
        """
        if target_sizes is None:
            raise ValueError("target_sizes is None, but images that were split need theirs. Pass each (height, width).")
        targets = check_target_sizes(target_sizes, None)
        check_offsets(self.offsets, len(self.mask_logits), len(targets))
        images = []
        for i, target in enumerate(targets):
            windows = {index: (start, end) for index, (image, start, end) in enumerate(self.offsets) if image == i}
            if self.layouts is None:
                layout = settings.layout(target, do_split=True)
            else:
                layout = self.layouts[min(windows)]  # all windows of an image have one
            images.append((layout, target, windows))
        return images


def read_layouts(image_layouts: Iterable | None, num_inputs: int) -> list[Layout] | None:
    """`image_layouts` of the image processor, a tensor or rows, as one layout for each of `num_inputs` model inputs.

    Raises:
        ValueError: another number of rows, or a row that isn't four positive integers.
    """
    if image_layouts is None:
        return None
    entries = image_layouts.tolist() if isinstance(image_layouts, torch.Tensor) else image_layouts  # one transfer from a GPU
    rows = [torch.as_tensor(entry).flatten().tolist() for entry in entries]
    if len(rows) != num_inputs or any(len(row) != 4 or not all(type(side) is int and side > 0 for side in row) for row in rows):
        raise ValueError(
            f"image_layouts is {str(rows)[:200]} for {num_inputs} model inputs, but must have a row of (content height, content "
            "width, input height, input width) for each, in pixels. Pass on what the image processor returned."
        )
    return [Layout((height, width), (input_height, input_width)) for height, width, input_height, input_width in rows]
