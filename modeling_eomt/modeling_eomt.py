"""The Encoder-only Mask Transformer: a plain ViT whose last blocks process queries and patches together.

Kerssies et al., "Your ViT is Secretly an Image Segmentation Model", CVPR 2025.
Shapes: `B` images, `Q` queries, `C` classes, `N` tokens, `D` width, `H, W` pixels, `h, w` patches, `L2` last blocks,
`s` upscaling of the masks over the patch grid (4 at patch size 16).
"""

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from timm.layers import build_sincos2d_pos_embed
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from eomt.configuration import EomtConfig
from eomt.criterion.loss import EomtLoss
from eomt.criterion.targets import gather_targets
from eomt.encoders.dinov2 import EomtAttention, EomtEmbeddings, EomtLayer, EomtLayerScale, resample_positions
from eomt.mask_module import EomtMaskHead, EomtScaleBlock
from eomt.masked_attention import query_attention_mask
from eomt.randomness import ImageDraws


@dataclass
class EomtForUniversalSegmentationOutput(ModelOutput):
    """
    What [`EomtForUniversalSegmentation`] returns.

    Args:
        loss: scalar, where labels were given: the sum of `loss_terms`.
        class_queries_logits: (B, Q, C + 1), the no-object class last.
        masks_queries_logits: (B, Q, s * h, s * w).
        last_hidden_state: (B, N, D) after the final norm: queries, class token, registers, patches.
        hidden_states: the input of every block and the last hidden state, with `output_hidden_states=True`.
        attentions: (B, heads, N, N) of every block, with `output_attentions=True`.
        patch_offsets: passed through for the post-processing of windows.
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
    loss_terms: dict[str, Tensor] | None = None
    block_predictions: tuple[tuple[Tensor, Tensor], ...] | None = None


class EomtPreTrainedModel(PreTrainedModel):
    """What transformers has to know to initialise, load and save the model."""

    config: EomtConfig
    base_model_prefix = "eomt"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["EomtLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict = {"attn_mask_probs"}  # .9995 would round to 1 in bfloat16
    _can_record_outputs = {"hidden_states": EomtLayer, "attentions": EomtAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """For what no checkpoint fills. Positions start as sines and cosines (Beyer et al., "Better plain ViT baselines"), so that
        an encoder trained from scratch knows its neighbourhoods at once.

        A module fills its own tensors only: transformers skips every module whose own tensors were all loaded.
        """
        std = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, EomtLayerScale):
            init.constant_(module.lambda1, self.config.layerscale_value)
        elif isinstance(module, EomtEmbeddings):
            init.trunc_normal_(module.cls_token, std=std)
            init.trunc_normal_(module.register_tokens, std=std)
        elif module is self.embeddings.position_embeddings:
            init.copy_(module.weight, build_sincos2d_pos_embed(list(self.embeddings.grid_size), self.config.hidden_size))
        elif module is self.query:
            init.normal_(module.weight)
        elif isinstance(module, EomtLoss):
            init.copy_(module.empty_weight, module.class_weights())
        elif isinstance(module, EomtForUniversalSegmentation):
            init.ones_(module.attn_mask_probs)


class EomtForUniversalSegmentation(EomtPreTrainedModel):
    """
    EoMT for semantic, instance and panoptic segmentation.

    Masked attention: block `i` of the last L2 restricts each query of each image to its predicted mask with probability
    `attn_mask_probs[i]` in training, and always (from a probability of .5) or never in evaluation. Change the probabilities
    with `set_attn_mask_probs`; after writing to the buffer itself, call `train()` or `eval()`.

    Attributes:
        supervises_blocks: whether a loss also has the predictions before the last L2 blocks where these are not masked. The paper
            leaves them out where it never masks (Table 7). Not stored.
    """

    supervises_blocks = True

    def __init__(self, config: EomtConfig):
        super().__init__(config)
        self.embeddings = EomtEmbeddings(config)
        self.layers = nn.ModuleList([EomtLayer(config) for _ in range(config.num_hidden_layers)])
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.query = nn.Embedding(config.num_queries, config.hidden_size)
        self.upscale_block = EomtScaleBlock(config)
        self.mask_head = EomtMaskHead(config)
        self.class_predictor = nn.Linear(config.hidden_size, config.num_labels + 1)
        self.criterion = EomtLoss(config)
        self.register_buffer("attn_mask_probs", torch.ones(config.num_blocks, dtype=torch.float32))
        self._masked_blocks = [True] * config.num_blocks
        self._masked_blocks_read_at: tuple | None = None
        self.register_load_state_dict_post_hook(_refresh_after_loading)
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike | None, *args, config=None, **kwargs):
        """
        As in transformers, and besides:

        - another `image_size=(height, width)` resizes the stored position embeddings;
        - loss weights given here hold (a stored class weight does not win over the configuration);
        - a checkpoint without `attn_mask_probs`, or with those of another number of blocks, is unmasked.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        image_size = None if isinstance(config, EomtConfig) else kwargs.pop("image_size", None)
        if isinstance(config, EomtConfig):
            image_size, config = _as_stored(pretrained_model_name_or_path, config, kwargs)
        model, info = super().from_pretrained(
            pretrained_model_name_or_path, *args, config=config, output_loading_info=True, **kwargs
        )
        if image_size is not None:
            model.resize_position_embeddings(image_size)
        mismatched = {name for name, *_ in info["mismatched_keys"]}
        if "attn_mask_probs" in {*info["missing_keys"], *mismatched}:
            model.attn_mask_probs.zero_()
        with torch.no_grad():
            model.criterion.empty_weight.copy_(model.criterion.class_weights())
        model._refresh_masked_blocks()
        return (model, info) if wants_info else model

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_embeddings

    @torch.no_grad()
    def resize_position_embeddings(self, image_size: int | Sequence[int]) -> None:
        """Stores the position embeddings for another image size, and the size in the configuration.

        Args:
            image_size: pixels, an integer or `(height, width)`, multiples of the patch size.

        Raises:
            ValueError: (inside the configuration's validation error) for a size off the patch grid.
        """
        sized = type(self.config)(**{**self.config.to_dict(), "image_size": _plain_size(image_size)})
        embeddings, old = self.embeddings, self.embeddings.position_embeddings
        weight = resample_positions(old.weight, embeddings.grid_size, sized.grid_size)
        embeddings.position_embeddings = nn.Embedding.from_pretrained(weight.clone(), freeze=not old.weight.requires_grad)
        embeddings.grid_size = sized.grid_size
        self.config.image_size = sized.image_size

    @torch.no_grad()
    def set_attn_mask_probs(self, probs: Sequence[float] | Tensor) -> None:
        """Sets the probability of masking in each of the last blocks.

        Args:
            probs: L2 numbers in [0, 1], the earliest block's first.

        Raises:
            ValueError: for another count or a number outside [0, 1].
        """
        probs = torch.as_tensor(probs, dtype=torch.float32)
        if probs.shape != self.attn_mask_probs.shape or not bool(((probs >= 0) & (probs <= 1)).all()):
            raise ValueError(f"probs={probs.tolist()} must be {self.config.num_blocks} numbers in [0, 1], one a block")
        self.attn_mask_probs.copy_(probs)
        self._refresh_masked_blocks()

    def train(self, mode: bool = True) -> "EomtForUniversalSegmentation":
        super().train(mode)
        self._refresh_masked_blocks()
        return self

    def _refresh_masked_blocks(self) -> None:
        """Keeps, as plain booleans that a compiled graph may branch on, which blocks are masked at all.

        The buffer is read only where it may have changed, since reading it makes the host wait for the device.
        """
        probs = self.attn_mask_probs
        if probs.is_meta:
            return
        state = None if probs.is_inference() else (probs.data_ptr(), probs._version, self.training)
        if state is not None and state == self._masked_blocks_read_at:
            return
        lowest = 0.0 if self.training else 0.5
        self._masked_blocks = [p > 0 and p >= lowest for p in probs.tolist()]
        self._masked_blocks_read_at = state

    def _apply(self, fn, recurse: bool = True):
        """Moves and casts everything but the float32 of `attn_mask_probs`: .9995 would round to 1 in bfloat16."""
        probs = self.attn_mask_probs
        super()._apply(fn, recurse)
        if self.attn_mask_probs.dtype != probs.dtype and not probs.is_meta:
            self.attn_mask_probs = probs.to(self.attn_mask_probs.device)
        return self

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        pixel_values: Tensor,
        mask_labels: Sequence[Tensor] | None = None,
        class_labels: Sequence[Tensor] | None = None,
        patch_offsets: list[Tensor] | None = None,
        id_maps: Tensor | None = None,
        segment_ids: Sequence[Tensor] | None = None,
        sample_keys: Tensor | None = None,
        loss_normalizers: Tensor | None = None,
        **kwargs,
    ) -> EomtForUniversalSegmentationOutput:
        """
        Args:
            pixel_values: (B, 3, H, W); H and W any multiples of the patch size.
            mask_labels: B tensors (n, H', W'), the masks of an image's segments; their size need not be the image's.
            class_labels: B tensors (n,), the classes of the segments. An image may have none.
            patch_offsets: windows of the image processor, passed through.
            id_maps, segment_ids: labels as an id map (B, H', W') and the ids of its segments, B tensors (n,), in place of
                `mask_labels`; equal labels give equal losses. Where segments overlap, (B, P, H', W'), planes of those that don't.
            sample_keys: (B,) integers that fix the random draws of each image, see [`ImageDraws`].
            loss_normalizers: (2,) divisors of the loss in place of this batch's own, for gradient accumulation, see
                `eomt.criterion.normalizers.loss_normalizers`.

        Raises:
            ValueError: for images off the patch grid and for labels that don't fit the batch or the classes.
        """
        grid = self.embeddings.patch_embeddings.grid_of(pixel_values)
        targets = gather_targets(
            pixel_values.shape[0],
            self.config.num_labels,
            mask_labels,
            class_labels,
            id_maps,
            segment_ids,
            pixel_values.device,
        )
        draws = ImageDraws(sample_keys)
        hidden_states = self.embeddings(pixel_values, grid)  # (B, prefix + h * w, D)
        predictions = []
        for block, layer in enumerate(self.layers, start=self.config.num_blocks - len(self.layers)):
            query_mask = None
            if block == 0:
                every = torch.arange(self.config.num_queries, device=hidden_states.device)
                queries = self.query(every).to(hidden_states).expand(hidden_states.shape[0], -1, -1)
                hidden_states = torch.cat([queries, hidden_states], dim=1)  # (B, N, D)
            supervised = self.supervises_blocks and (self.training or targets is not None)
            if block >= 0 and (supervised or self._masked_blocks[block]):
                predictions.append(self.predict(self.layernorm(hidden_states), grid))
                query_mask = self._query_mask(block, predictions[-1][0], grid, draws)
            hidden_states = layer(hidden_states, query_mask)
        hidden_states = self.layernorm(hidden_states)
        masks, classes = self.predict(hidden_states, grid)
        terms = None
        if targets is not None:
            mask_logits, class_logits = zip(*predictions, (masks, classes), strict=True)
            terms = self.criterion(mask_logits, class_logits, *targets, draws, loss_normalizers)
        return EomtForUniversalSegmentationOutput(
            loss=None if terms is None else torch.stack(list(terms.values())).sum(),
            class_queries_logits=classes,
            masks_queries_logits=masks,
            last_hidden_state=hidden_states,
            patch_offsets=patch_offsets,
            loss_terms=terms,
            block_predictions=tuple(predictions) or None,
        )

    def predict(self, hidden_states: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The mask module (paper, section 3.3).

        Args:
            hidden_states: (B, N, D), normalised.
            grid: `(h, w)`.

        Returns:
            Mask logits (B, Q, s * h, s * w) and class logits (B, Q, C + 1).
        """
        queries = hidden_states[:, : self.config.num_queries]
        patches = hidden_states[:, self.config.num_queries + self.embeddings.num_prefix_tokens :]
        features = self.upscale_block(patches.transpose(1, 2).unflatten(2, grid))  # (B, D, s * h, s * w)
        masks = torch.einsum("bqd,bdhw->bqhw", self.mask_head(queries), features)
        return masks, self.class_predictor(queries)

    def _query_mask(self, block: int, mask_logits: Tensor, grid: tuple[int, int], draws: ImageDraws) -> Tensor | None:
        """The attention mask of a block, (B, 1, Q, N), or None where it is not masked."""
        if not self._masked_blocks[block]:
            return None
        unmasked = None
        if self.training:
            rows = [1] * len(mask_logits)
            drawn = draws.uniform(f"masking {block}", rows, (self.config.num_queries,), mask_logits.device)  # (B, Q)
            unmasked = drawn > self.attn_mask_probs[block]
        return query_attention_mask(mask_logits, grid, self.embeddings.num_prefix_tokens, unmasked)


def _refresh_after_loading(model: EomtForUniversalSegmentation, _) -> None:
    model._refresh_masked_blocks()


def _plain_size(image_size: int | Sequence[int]) -> int | tuple[int, int]:
    """An integer where both sides are equal, which transformers' own model can read."""
    if isinstance(image_size, int):
        return image_size
    height, width = image_size
    return height if height == width else (height, width)


def _as_stored(path: str | os.PathLike | None, config: EomtConfig, kwargs: dict) -> tuple[int | tuple | None, EomtConfig]:
    """For a configuration with another image size than the checkpoint's: the size wanted, and one with the stored size."""
    if path is None:
        return None, config
    names = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
    stored = EomtConfig.from_pretrained(path, **{name: kwargs[name] for name in names if name in kwargs})
    if stored.grid_size == config.grid_size:
        return None, config
    wanted, config = config.image_size, copy.deepcopy(config)
    config.image_size = stored.image_size
    return wanted, config
