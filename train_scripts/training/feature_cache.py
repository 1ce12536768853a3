"""Features of images by a frozen encoder, computed once and kept for all later epochs, where images are not augmented.

Shapes: `B` images, `N` tokens, `D` width, `S` pixels of a side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from eomt.mask_classifier import MaskClassifier
from eomt.modeling_eomt import EomtForUniversalSegmentation

# Fields of configurations that make a pass in training random.
RANDOM = ("hidden_dropout_prob", "attention_dropout", "drop_path_rate", "pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale")


class FeatureCache:
    """
    The tokens of each image before the queries join, in the host's memory: N x D x 4 bytes an image in float32.

    They are computed one image at a time, so that they don't depend on the batch in which an image comes first.

    Args:
        model: an EoMT whose blocks before the queries are frozen. It is asked for features as it is.

    Raises:
        ValueError: the model's features would change in the training.
    """

    def __init__(self, model: MaskClassifier):
        if not isinstance(model, EomtForUniversalSegmentation):
            raise ValueError(f"cache_features=True is for EoMT, not for {model.config.model_type}; leave it out")
        frozen = (model.embeddings, *model.layers[: model.first_query_block])
        if any(parameter.requires_grad for part in frozen for parameter in part.parameters()):
            raise ValueError("cache_features=True needs a frozen encoder: give --frozen_blocks -1, or leave it out")
        config = model.config.to_dict()
        if random := [name for name in RANDOM if config.get(name)]:
            none = "null" if random[0].startswith("pos_") else "0"
            raise ValueError(
                f"cache_features=True needs features that are the same in every epoch, but {random[0]}={config[random[0]]} makes "
                f"them random; give --config '{{\"{random[0]}\": {none}}}', or leave cache_features out"
            )
        self.model = model
        self._tokens: dict[str, Tensor] = {}
        self._sums: dict[str, float] = {}  # of an image's absolute pixels: another image of its name has another

    def __len__(self) -> int:
        """How many images have features."""
        return len(self._tokens)

    def encoded(self, image_ids: Sequence[str], pixel_values: Tensor) -> Tensor:
        """The features of images, for `model(pixel_values, encoded=features)`.

        Args:
            image_ids: B names, each of one image.
            pixel_values: (B, 3, S, S), the same whenever an image comes.

        Returns:
            (B, N, D).

        Raises:
            ValueError: an image comes with other pixels than before, such as another one of its name.
        """
        sums = pixel_values.abs().sum(dim=(1, 2, 3)).tolist()
        for index, name in enumerate(image_ids):
            if name not in self._tokens:
                with torch.no_grad():
                    self._tokens[name] = self.model.encode_images(pixel_values[index : index + 1])[0].cpu()
                self._sums[name] = sums[index]
            elif abs(sums[index] - self._sums[name]) > 1e-4 * sums[index]:
                raise ValueError(
                    f"cache_features=True: image {name!r} comes with other pixels than before. Prepare the data with a name for "
                    "each image, or leave cache_features out"
                )
        return torch.stack([self._tokens[name] for name in image_ids]).to(pixel_values.device)
