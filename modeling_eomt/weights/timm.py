"""Starts a model from a ViT of timm: DINOv2 and its like, DINOv3 or EVA-02, whatever its patch size and position grid."""

import difflib
import os
from collections.abc import Callable, Collection
from typing import NamedTuple

import timm
import torch
from timm.layers import RotaryEmbeddingCat, RotaryEmbeddingDinoV3
from timm.models import PretrainedCfg
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from eomt.configuration import (
    EomtBaseConfig,
    EomtConfig,
    EomtDinov3Config,
    EomtDinov3LadderConfig,
    EomtEva02Config,
    EomtEva02LadderConfig,
    EomtLadderConfig,
)
from eomt.mask_classifier import MaskClassifier
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.modeling_eomt_dinov3 import EomtDinov3ForUniversalSegmentation
from eomt.modeling_eomt_eva02 import EomtEva02ForUniversalSegmentation
from eomt.modeling_eomt_ladder import (
    EomtDinov3LadderForUniversalSegmentation,
    EomtEva02LadderForUniversalSegmentation,
    EomtLadderForUniversalSegmentation,
)
from eomt.weights.files import SUFFIXES, read_tensors
from eomt.weights.filling import fill_encoder
from eomt.weights.meta_names import with_timm_names
from eomt.weights.timm_dinov3 import convert_dinov3, dinov3_config
from eomt.weights.timm_eva02 import convert_eva02, eva02_config
from eomt.weights.timm_vit import convert_vit, vit_config


class Family(NamedTuple):
    """Encoders whose weights have the same names, and the model that they start."""

    model_class: type[MaskClassifier]
    config_class: type[EomtBaseConfig]
    fitting: Callable[..., EomtBaseConfig]  # (weights, config_class, **overrides)
    convert: Callable[[dict[str, Tensor], MaskClassifier], tuple[dict[str, Tensor], list[str]]]
    rope_class: type[torch.nn.Module] | None = None  # timm's

    def config(self, weights: dict[str, Tensor], **overrides) -> EomtBaseConfig:
        """The configuration that fits the weights."""
        no_queries = {} if self.config_class.fewest_blocks else {"num_blocks": 0}
        return self.fitting(weights, self.config_class, **{**no_queries, **overrides})

    def fits(self, vit: torch.nn.Module) -> bool:
        """Whether a model of timm is of this family, which weights of the same names need not be."""
        if self.rope_class is None:
            return isinstance(vit, VisionTransformer)
        return isinstance(vit, Eva) and isinstance(vit.rope, self.rope_class)


VIT = Family(EomtForUniversalSegmentation, EomtConfig, vit_config, convert_vit)
DINOV3 = Family(EomtDinov3ForUniversalSegmentation, EomtDinov3Config, dinov3_config, convert_dinov3, RotaryEmbeddingDinoV3)
EVA02 = Family(EomtEva02ForUniversalSegmentation, EomtEva02Config, eva02_config, convert_eva02, RotaryEmbeddingCat)
VARIANTS = {  # the models that weights of a family can start
    VIT: (VIT, Family(EomtLadderForUniversalSegmentation, EomtLadderConfig, vit_config, convert_vit)),
    DINOV3: (DINOV3, Family(EomtDinov3LadderForUniversalSegmentation, EomtDinov3LadderConfig, dinov3_config, convert_dinov3)),
    EVA02: (EVA02, Family(EomtEva02LadderForUniversalSegmentation, EomtEva02LadderConfig, eva02_config, convert_eva02)),
}
EVA02_LARGE = "eva02_large_patch14_224"


def family_of(names: Collection[str]) -> Family:
    """The family of timm's weights of these names, which differ by positions and feed-forward networks."""
    if "blocks.0.mlp.norm.weight" in names:
        return EVA02
    return VIT if "pos_embed" in names or "blocks.0.gamma_1" not in names else DINOV3


def variant_of(family: Family, model_type: str | None) -> Family:
    """The family for the model of a `model_type`, by default EoMT.

    Raises:
        ValueError: weights of this family can't start such a model.
    """
    variants = {variant.config_class.model_type: variant for variant in VARIANTS[family]}
    if model_type is None:
        return family
    if model_type not in variants:
        raise ValueError(f"model_type={model_type!r}: this ViT can start {' or '.join(variants)}")
    return variants[model_type]


def from_timm(
    name_or_file: str | os.PathLike, *, pretrained: bool = True, argument: str = "name_or_file", **overrides
) -> MaskClassifier:
    """A model whose encoder is a ViT of timm and whose queries and heads are new; see [`pixel_statistics`] for its images.

    Args:
        name_or_file: a timm model name (`vit_small_patch14_reg4_dinov2.lvd142m`, `vit_small_patch16_dinov3.lvd1689m`), or a
            file of `SUFFIXES` with timm's names, or with those of Meta's own files of DINOv2 and DINOv3.
        pretrained: for a name, whether to load its weights; without them the encoder is random.
        argument: what errors call `name_or_file`, such as the option that it comes from.
        overrides: any field of the configuration, `num_labels` or `id2label` among them; see [`encoder_config`] for the rest.
            `model_type="eomt_ladder"` (`eomt_dinov3_ladder`, `eomt_eva02_ladder`) and `row` make the model of a row of Table 1.

    Raises:
        FileNotFoundError: for a file that is not there.
        ConnectionError: for weights that can't be downloaded.
        ValueError: for a name that timm doesn't know, or a model of another kind.
    """
    name_or_file = os.fspath(name_or_file)
    if _is_file(name_or_file, argument):
        weights = with_timm_names(read_tensors(name_or_file))
    else:
        vit = _create_vit(name_or_file, pretrained, argument)
        weights = vit.state_dict()
        if not family_of(weights).fits(vit):
            raise ValueError(
                f"{argument}={name_or_file!r} is a {type(vit).__name__} of timm; give a plain VisionTransformer, a DINOv3 or an "
                "EVA-02"
            )
        first = vit.blocks[0]
        overrides = {"num_attention_heads": first.attn.num_heads, "layer_norm_eps": first.norm1.eps, **overrides}
    family = variant_of(family_of(weights), overrides.pop("model_type", None))
    model = family.model_class(family.config(weights, **overrides))
    fill_encoder(model, *family.convert(weights, model))
    return model


def pixel_statistics(name_or_file: str | os.PathLike, argument: str = "name_or_file") -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the RGB channels in [0, 1] that a ViT of timm was trained with.

    Args:
        name_or_file: as in [`from_timm`]. A name's are those that timm knows, a file's those of its family's published weights.
        argument: what errors call `name_or_file`.

    Raises:
        FileNotFoundError, ValueError: as [`from_timm`].
    """
    name_or_file = os.fspath(name_or_file)
    if _is_file(name_or_file, argument):
        config = family_of(with_timm_names(read_tensors(name_or_file))).config_class
        return list(config.image_mean), list(config.image_std)
    known = _known(name_or_file, argument)
    return list(known.mean), list(known.std)


def _is_file(name_or_file: str, argument: str) -> bool:
    """Whether it is a file rather than a name, whose tag may look like a suffix.

    Raises:
        FileNotFoundError: it is one that is not there.
    """
    if not name_or_file.endswith(SUFFIXES):
        return False
    if not os.path.isfile(name_or_file):
        raise FileNotFoundError(f"{argument}={name_or_file!r}: there is no such file")
    return True


def _known(name: str, argument: str) -> PretrainedCfg:
    """What timm knows of a model by its name."""
    if name == EVA02_LARGE:
        raise ValueError(
            f"{argument}={name!r}: without a tag timm takes mim_in22k, pre-trained on ImageNet-22k, but the paper starts from "
            f"the weights pre-trained on 38 million images; give {name}.mim_m38m"
        )
    try:
        known = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the model is there, weights of that tag are not
        tags = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*"))
        raise ValueError(f"{argument}={name!r}: timm has no such weights of this model; it has {tags or 'none'}") from None
    if known is None:
        near = difflib.get_close_matches(name, timm.list_models(["vit_*", "deit3_*", "eva02_*"]), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() has them all."
        raise ValueError(f"{argument}={name!r} is no model of timm, nor a file of weights here; {hint}")
    return known


def _create_vit(name: str, pretrained: bool, argument: str) -> torch.nn.Module:
    _known(name, argument)
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(
            f"{argument}={name!r}: timm's weights of it are not in the cache and couldn't be downloaded ({reason}) Connect "
            "to the network, unset HF_HUB_OFFLINE, or give a .safetensors file with timm's names"
        ) from None


def encoder_config(weights: dict[str, Tensor], **overrides) -> EomtBaseConfig:
    """The configuration that fits the weights of a ViT of timm.

    Width, depth, channels, registers and the kind of feed-forward follow from the shapes, the kind of encoder from the names. Heads
    are 64 wide (128 in DINOv3's 7B), the patch size is 16, and `num_blocks` is the paper's (section 4.1: 3 up to 12 encoder
    blocks, 4 up to 24, 5 beyond) unless given.

    Args:
        weights: timm's names and tensors.
        overrides: any field of the configuration, and `model_type`.

    Raises:
        ValueError: for weights of another kind of network, or of one that can't start a model of that type.
    """
    return variant_of(family_of(weights), overrides.pop("model_type", None)).config(weights, **overrides)


def load_timm_encoder(model: EomtForUniversalSegmentation, weights: dict[str, Tensor]) -> None:
    """Fills the encoder of a model from timm's weights; queries and heads stay as they are.

    Patch embeddings of another patch size are resampled as in FlexiViT (the pseudo-inverse of the resizing), position
    embeddings of another grid bicubically. A classifier (`head`, `fc_norm`) is left out.

    Args:
        model: of the weights' width, depth and kind, see [`encoder_config`].
        weights: timm's names and tensors, of any float type.

    Raises:
        ValueError: naming the weights that are missing, unknown or of another shape; the model is then unchanged.
    """
    fill_encoder(model, *family_of(weights).convert(weights, model))
