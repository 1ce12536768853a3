"""The contract between an architecture and everything around it: images become K predictions, labels become one loss.

Training, annealing, freezing, class heads, scoring and model cards know [`MaskClassifier`] alone, so an architecture that
implements it trains, scores, predicts and saves by the same commands.

Shapes: `B` images, `K` predictions (one for each supervised block, and the last), `Q` queries, `C` classes, `N` tokens, `D` width,
`H, W` pixels, `L2` blocks that may be masked, `s` upscaling of the masks over the patch grid.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from eomt.criterion.normalizers import loss_normalizers
from eomt.criterion.targets import ImageTargets, gather_targets
from eomt.masked_attention import MaskingProbabilities
from eomt.prediction import Prediction, joined
from eomt.randomness import ImageDraws


@dataclass
class EomtForUniversalSegmentationOutput(ModelOutput):
    """
    What a [`MaskClassifier`] returns.

    Args:
        loss: scalar, where labels were given: the sum of `loss_terms`.
        class_queries_logits: (B, Q, C + 1), the no-object class last.
        masks_queries_logits: (B, Q, s * h, s * w).
        last_hidden_state: (B, N, D) after the final norm: queries, class token, registers, patches.
        hidden_states: the input of every block and the last hidden state, with `output_hidden_states=True`.
        attentions: (B, heads, N, N) of every block, with `output_attentions=True`.
        patch_offsets, image_layouts: the arguments of that name, for the post-processing.
        loss_terms: every weighted term of the loss by name, see [`EomtLoss`].
        block_predictions: `(masks_queries_logits, class_queries_logits)` before each of the last L2 blocks, where they were
            made: in training, with labels, and before a masked block.
    """

    loss: Tensor | None = None
    class_queries_logits: Tensor | None = None
    masks_queries_logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    patch_offsets: list[Tensor] | None = None
    image_layouts: Tensor | None = None
    loss_terms: dict[str, Tensor] | None = None
    block_predictions: tuple[tuple[Tensor, Tensor], ...] | None = None


class MaskClassifier(MaskingProbabilities, ABC):
    """
    A network that gives each of Q queries a mask and a class, as training and scoring need it.

    A subclass is a `PreTrainedModel` as well, which comes after this class in its bases. It implements [`predict_blocks`],
    [`blocks_above`] and [`freeze_encoder`], and holds `class_predictor`, `criterion` (an [`EomtLoss`], or its own
    [`loss_terms`]) and, after `init_masking`, `attn_mask_probs`, a probability for each block that may be masked.

    Its configuration has `num_labels`, `id2label`, `num_queries`, `no_object_weight`, and `image_size_hw` and `num_blocks` if it
    is scored and trained by this package's commands.

    Attributes:
        supervises_blocks: whether a loss has the predictions of all supervised blocks, or that of the last and of masked blocks
            alone. The paper leaves the others out where it never masks (Table 7). Not stored.
        image_by_image: whether a pass in evaluation runs the images of a batch one after the other, for networks in which they
            depend on each other; see `eomt.token_merging.merge_tokens`. Not stored.
        class_predictor: the linear class head, D -> C + 1, whose rows are classes and the no-object class last.
    """

    supervises_blocks: bool = True
    image_by_image: bool = False
    class_predictor: nn.Linear

    @abstractmethod
    def predict_blocks(self, pixel_values: Tensor, supervised: bool, draws: ImageDraws) -> tuple[Tensor, list[Prediction]]:
        """Runs the network.

        Args:
            pixel_values: (B, 3, H, W).
            supervised: whether predictions of earlier blocks are wanted; masked blocks make theirs in any case.
            draws: source of the random numbers of masked attention.

        Returns:
            The last hidden state (B, N, D), and K predictions, the earliest block's first.

        Raises:
            ValueError: for images that the network can't take, such as those off the patch grid.
        """

    def _predict_images(
        self, pixel_values: Tensor, supervised: bool, draws: ImageDraws, given: dict[str, Any]
    ) -> tuple[Tensor, list[Prediction]]:
        """[`predict_blocks`], of all images at once or of one after the other. What else is given is of all."""
        if not self.image_by_image or self.training or given:
            return self.predict_blocks(pixel_values, supervised, draws, **given)
        passes = [self.predict_blocks(image, supervised, draws) for image in pixel_values.split(1)]
        hidden_states, predictions = zip(*passes, strict=True)
        return torch.cat(hidden_states), [joined(of_images) for of_images in zip(*predictions, strict=True)]

    @abstractmethod
    def blocks_above(self, name: str) -> int | None:
        """How many encoder blocks lie between a parameter and the encoder's output, for layer-wise learning rates.

        Args:
            name: of the parameter, as in `named_parameters()`.

        Returns:
            0 for the last block and the final norm, the number of blocks less one for the embeddings and the first block, and
            None for what is not part of the pretrained encoder.
        """

    @abstractmethod
    def freeze_encoder(self, frozen_blocks: int) -> None:
        """Takes embeddings and first blocks out of the training: they get no gradient, and no backward pass reaches them.

        Args:
            frozen_blocks: how many; 0 freezes nothing, the embeddings neither, -1 every block before the queries join.

        Raises:
            ValueError: the encoder doesn't have so many blocks.
        """

    def draw_unmasked(self, block: int, mask_logits: Tensor, draws: ImageDraws) -> Tensor | None:
        """Which queries of which image a masked block leaves unmasked at this step: bool (B, Q), or None in evaluation.

        Args:
            block: 0 for the earliest that may be masked.
            mask_logits: (B, Q, ...), of the queries.
            draws: source of the random numbers.
        """
        if not self.training:
            return None
        rows = [1] * len(mask_logits)
        drawn = draws.uniform(f"masking {block}", rows, (self.config.num_queries,), mask_logits.device)  # (B, Q)
        return drawn > self.attn_mask_probs[block]

    def labelled_inputs(
        self, pixel_values: Tensor, targets: Sequence[ImageTargets], class_labels: Sequence[Tensor], draws: ImageDraws
    ) -> dict[str, Any]:
        """Further arguments of [`predict_blocks`] in a pass with labels; by default none."""
        return {}

    def loss_terms(
        self,
        predictions: Sequence[Prediction],
        targets: Sequence[ImageTargets],
        class_labels: Sequence[Tensor],
        draws: ImageDraws,
        normalizers: Tensor | None,
    ) -> dict[str, Tensor]:
        """The weighted terms of the loss by name, scalars whose sum is the loss; the arguments are those of [`EomtLoss`]."""
        return self.criterion(predictions, targets, class_labels, draws, normalizers)

    def loss_normalizers(self, class_labels: Sequence[Tensor]) -> Tensor:
        """What the loss sums of a batch are divided by, (2,); see `eomt.criterion.normalizers.loss_normalizers`."""
        return loss_normalizers(class_labels, self.config.num_queries, self.config.no_object_weight)

    @torch.no_grad()
    def renew_class_predictor(self) -> None:
        """Replaces the class head by a new one with random weights, for other classes of the same number."""
        old = self.class_predictor
        # a new module: transformers doesn't initialise anew what was loaded
        self.class_predictor = nn.Linear(old.in_features, old.out_features, dtype=old.weight.dtype, device=old.weight.device)
        self._init_weights(self.class_predictor)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        pixel_values: Tensor,
        mask_labels: Sequence[Tensor] | None = None,
        class_labels: Sequence[Tensor] | None = None,
        patch_offsets: list[Tensor] | None = None,
        image_layouts: Tensor | None = None,
        id_maps: Tensor | None = None,
        segment_ids: Sequence[Tensor] | None = None,
        sample_keys: Tensor | Sequence[int] | None = None,
        loss_normalizers: Tensor | None = None,
        encoded: Tensor | None = None,
        encoded_blocks: int | None = None,
        **kwargs,
    ) -> EomtForUniversalSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W); H and W any multiples of the patch size.
            mask_labels: B tensors (n, H', W'), the masks of an image's segments; their size need not be the image's.
            class_labels: B tensors (n,), the classes of the segments. An image may have none.
            patch_offsets: windows of the image processor, passed through.
            image_layouts: (B, 4), how the image processor resized and padded each image, passed through.
            id_maps, segment_ids: labels as an id map (B, H', W') and the ids of its segments, B tensors (n,), in place of
                `mask_labels`; equal labels give equal losses. Where segments overlap, (B, P, H', W'), planes of those that don't.
            sample_keys: (B,) integers that fix the random draws of each image, see [`ImageDraws`].
            loss_normalizers: (2,) divisors of the loss in place of this batch's own, for gradient accumulation, see
                `eomt.criterion.normalizers.loss_normalizers`.
            encoded, encoded_blocks: of EoMT, the tokens of these images after their first blocks, and how many blocks that were;
                see `EomtForUniversalSegmentation.encode_images`. Those blocks don't run again.

        Raises:
            ValueError: for images off the patch grid, for labels that don't fit the batch or the classes, for `encoded` that don't
                fit the images and for `encoded_blocks` without them.
        """
        if encoded is None and encoded_blocks is not None:
            raise ValueError(f"encoded_blocks={encoded_blocks} is of no use without encoded; give both, or neither")
        if not torch.compiler.is_compiling():
            self.refresh_masked_blocks()  # whoever wrote to the buffer of probabilities
        labels = gather_targets(
            pixel_values.shape[0],
            self.config.num_labels,
            mask_labels,
            class_labels,
            id_maps,
            segment_ids,
            pixel_values.device,
        )
        draws = ImageDraws(sample_keys)
        supervised = self.supervises_blocks and (self.training or labels is not None)
        given = {} if encoded is None else {"encoded": encoded, "encoded_blocks": encoded_blocks}
        if labels is not None:
            given |= self.labelled_inputs(pixel_values, *labels, draws)
        hidden_states, predictions = self._predict_images(pixel_values, supervised, draws, given)
        terms = None if labels is None else self.loss_terms(predictions, *labels, draws, loss_normalizers)
        return EomtForUniversalSegmentationOutput(
            loss=None if terms is None else torch.stack(list(terms.values())).sum(),
            class_queries_logits=predictions[-1].class_logits,
            masks_queries_logits=predictions[-1].mask_logits,
            last_hidden_state=hidden_states,
            patch_offsets=patch_offsets,
            image_layouts=image_layouts,
            loss_terms=terms,
            # plain tuples: what gathers outputs rebuilds named ones wrongly
            block_predictions=tuple((earlier.mask_logits, earlier.class_logits) for earlier in predictions[:-1]) or None,
        )
