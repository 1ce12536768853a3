"""The image-segmentation pipeline, which hands files to the image processor as they are."""

from typing import Any

from PIL import Image
from transformers import BatchFeature
from transformers.pipelines.image_segmentation import ImageSegmentationPipeline
from transformers.utils import ModelOutput

from eomt.configuration import EomtBaseConfig
from eomt.image_processing.pixels import load_pil


class EomtImageSegmentationPipeline(ImageSegmentationPipeline):
    """
    transformers' pipeline, but that EoMT's image processor reads the image.

    transformers converts every image to 8-bit RGB beforehand, which clips images of 16 bits and lays transparency over black.
    Pipelines of other models are transformers' own.
    """

    def check_model_type(self, supported_models: list[str] | dict) -> None:
        """Logs an error for models that the pipeline can't run. transformers' list has no model of this package, by its class."""
        if not isinstance(self.model.config, EomtBaseConfig):
            super().check_model_type(supported_models)

    def preprocess(self, image: str | Image.Image, subtask: str | None = None, timeout: float | None = None) -> BatchFeature:
        """A path, a URL, base64 text or a PIL image -> the model's inputs and the `target_size` of the upright image.

        `timeout` are the seconds to wait for the server of a URL, by default those of [`load_pil`].
        """
        if not isinstance(self.model.config, EomtBaseConfig):
            return super().preprocess(image, subtask, timeout)
        upright = load_pil(image, "inputs", timeout)
        inputs: dict[str, Any] = self.image_processor(images=[upright], return_tensors="pt").to(self.dtype)
        inputs["target_size"] = [(upright.height, upright.width)]
        return inputs

    def _forward(self, model_inputs: dict[str, Any]) -> ModelOutput:
        """The model's outputs and `target_size`, without `block_predictions`.

        transformers cuts every output of a batch by image, and this one has an entry for each block.
        """
        outputs = super()._forward(model_inputs)
        if not isinstance(self.model.config, EomtBaseConfig):
            return outputs
        return ModelOutput({name: value for name, value in outputs.items() if name != "block_predictions"})
