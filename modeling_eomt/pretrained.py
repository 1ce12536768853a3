"""What transformers has to know to initialise, load, resize and save the models."""

import copy
import math
import os
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from eomt.adapter_folder import is_adapter_folder, load_adapter_folder
from eomt.configuration import EomtBaseConfig, EomtConfig, EomtDinov3Config, EomtEva02Config
from eomt.encoders.dinov2 import EomtLayer
from eomt.encoders.parts import EomtSelfAttention
from eomt.exported import ExportedMaskClassifier, is_exported, refuse_exported
from eomt.initialization import InitializedModule
from eomt.loading_arguments import changed_fields, read_config, refuse_others, stored_fields


class EomtPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving. A subclass has the embeddings of its encoder in `embeddings`."""

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
    _can_record_outputs = {"hidden_states": EomtLayer, "attentions": EomtSelfAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """For what no checkpoint fills."""
        if isinstance(module, InitializedModule):
            module.initialize_tensors(self.config)
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike | None, *args, config=None, **kwargs):
        """
        As in transformers, and besides:

        - another `image_size=(height, width)` resizes the stored position embeddings;
        - loss weights given here hold (a stored class weight does not win over the configuration);
        - a checkpoint without `attn_mask_probs`, or with those of another number of blocks, is unmasked;
        - a folder of `eomt export` gives an [`ExportedMaskClassifier`], so that Auto classes and pipelines take it.
        - a folder with a LoRA adapter and its configuration gives the merged model, see `eomt.adapter_folder`.

        Raises:
            ValueError: the folder is an export, and weights are asked for by `output_loading_info` or `ignore_mismatched_sizes`;
                the folder is an export or an adapter's, and an argument is given that it can't follow.
        """
        if is_adapter_folder(pretrained_model_name_or_path):
            return cls._from_adapter(pretrained_model_name_or_path, config, **kwargs)
        wants_info = kwargs.pop("output_loading_info", False)
        if is_exported(pretrained_model_name_or_path):
            if wants_info or kwargs.get("ignore_mismatched_sizes"):
                refuse_exported(pretrained_model_name_or_path)
            return cls._from_export(pretrained_model_name_or_path, config, **kwargs)
        path = pretrained_model_name_or_path if config is None else config
        if kwargs.get("image_size") is not None and not isinstance(path, PreTrainedConfig) and stored_fields(path, kwargs):
            config, kwargs = read_config(cls.config_class, path, kwargs)  # which checks the size together with the other fields
        image_size = None if isinstance(config, EomtBaseConfig) else kwargs.pop("image_size", None)
        if isinstance(config, EomtBaseConfig):
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
        model.refresh_masked_blocks()
        return (model, info) if wants_info else model

    @classmethod
    def _from_adapter(
        cls,
        folder,
        config=None,
        output_loading_info=False,
        dtype=None,
        torch_dtype=None,
        attn_implementation=None,
        device_map=None,
        quantization_config=None,
        **kwargs,
    ):
        """[`from_pretrained`] of an adapter's folder; `kwargs` may have fields of the configuration.

        Raises:
            ValueError: `device_map`, `quantization_config` or what nothing takes is given, `dtype` is none of PyTorch, or a field
                changes the shape of a weight.
        """
        if device_map is not None:
            raise ValueError(f"device_map={device_map!r} is not for an adapter, which is merged on the CPU; move the model by to()")
        if quantization_config is not None:
            raise ValueError(
                f"quantization_config={type(quantization_config).__name__} is not for an adapter, which is merged in float32; "
                "give it with the run's own folder, which has the merged model"
            )
        dtype = _torch_dtype(torch_dtype if dtype is None else dtype)
        if not isinstance(config, PreTrainedConfig):
            config, kwargs = read_config(cls.config_class, folder if config is None else config, kwargs)
        refuse_others(kwargs, "an adapter, nor a field of its configuration")
        model = load_adapter_folder(folder, config)
        model.name_or_path = os.fspath(folder)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        model = model if dtype is None else model.to(dtype)
        none = {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set(), "error_msgs": []}
        return (model, none) if output_loading_info else model

    @classmethod
    def _from_export(cls, folder, config=None, dtype=None, torch_dtype=None, attn_implementation=None, **kwargs):
        """[`from_pretrained`] of the folder of an export.

        Raises:
            ValueError: an argument asks for what the graph doesn't have.
        """
        stored = cls.config_class.from_pretrained(folder)
        if not isinstance(config, PreTrainedConfig):
            config, kwargs = read_config(cls.config_class, folder if config is None else config, kwargs)
        refuse_others(kwargs, "an export, a fixed graph")
        attention = attn_implementation or config._attn_implementation
        if attention not in (None, "sdpa"):
            raise ValueError(f"attn_implementation={attention!r}: {str(folder)!r} is an export, a fixed graph; leave it out")
        for name in changed_fields(config, stored):
            raise ValueError(
                f"{name}={getattr(config, name)!r}: {str(folder)!r} is an export with {getattr(stored, name)!r}, which its graph "
                "can't change; leave it out, or export a checkpoint that has it"
            )
        model = ExportedMaskClassifier.from_pretrained(folder, bool(kwargs.get("trust_remote_code")))
        dtype = _torch_dtype(torch_dtype if dtype is None else dtype)
        if dtype not in (None, model.dtype):
            raise ValueError(f"dtype={dtype}: {str(folder)!r} is an export, whose graph takes {model.dtype}; leave it out")
        return model

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.patch_embeddings

    def resize_position_embeddings(self, image_size: int | Sequence[int]) -> None:
        """Stores position embeddings, where there are any, for another image size, and the size in the configuration.

        Args:
            image_size: pixels, an integer or `(height, width)`, multiples of the patch size.

        Raises:
            ValueError: (inside the configuration's validation error) for a size off the patch grid.
        """
        sized = type(self.config)(**{**self.config.to_dict(), "image_size": _plain_size(image_size)})
        self.embeddings.store_grid(sized.grid_size)
        self.config.image_size = sized.image_size


class EomtDinov3PreTrainedModel(EomtPreTrainedModel):
    """Initialisation, loading and saving of models on DINOv3."""

    config: EomtDinov3Config
    base_model_prefix = "eomt_dinov3"
    _no_split_modules = ["EomtDinov3Layer"]


class EomtEva02PreTrainedModel(EomtPreTrainedModel):
    """Initialisation, loading and saving of models on EVA-02."""

    config: EomtEva02Config
    base_model_prefix = "eomt_eva02"
    _no_split_modules = ["EomtEva02Layer"]


def _torch_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A data type or its name -> the data type; None for None and "auto".

    Raises:
        ValueError: PyTorch has no such data type.
    """
    if dtype in (None, "auto"):
        return None
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype={dtype!r} is no data type of PyTorch; give one, its name such as 'bfloat16', or 'auto'")
    return found


def _plain_size(image_size: int | Sequence[int]) -> int | tuple[int, int]:
    """Python's integers, and one where both sides are equal, which transformers' own model can read."""
    if isinstance(image_size, Integral):
        return int(image_size)
    height, width = (int(side) if isinstance(side, Integral) else side for side in image_size)  # such as NumPy's
    return height if height == width else (height, width)


def _as_stored(path: str | os.PathLike | None, config: EomtBaseConfig, kwargs: dict) -> tuple[int | tuple | None, EomtBaseConfig]:
    """For a configuration with another image size than the checkpoint's: the size wanted, and one with the stored size."""
    fields = stored_fields(path, kwargs)
    if not fields:
        return None, config
    stored = type(config).from_dict(fields)
    if stored.grid_size == config.grid_size:
        return None, config
    wanted, config = config.image_size, copy.deepcopy(config)
    config.image_size = stored.image_size
    return wanted, config
