"""The options of a training run that say where its model comes from."""

import json
from dataclasses import dataclass, field

from eomt.train_scripts.training.deciding import Deciding
from eomt.train_scripts.training.option_checks import LORA_RANK, LORA_TARGETS, check_lora
from eomt.train_scripts.training.option_groups import StartOption


@dataclass
class ModelArguments:
    """Where the model comes from: a checkpoint, a timm ViT, or random weights."""

    checkpoint: StartOption[Deciding[str | None]] = field(
        default=None,
        metadata={"help": "EoMT checkpoint to start from, or a DINOv2 or DINOv3 of transformers: a folder or a Hub name"},
    )
    timm_model: StartOption[Deciding[str | None]] = field(
        default=None, metadata={"help": "ViT to start from: a timm name, or a file of weights with timm's names or Meta's"}
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "eager, sdpa, flash_attention_2 or flex_attention; by default what the machine is faster in"},
    )
    frozen_blocks: StartOption[Deciding[int]] = field(
        default=0,
        metadata={"help": "train neither embeddings nor the first N blocks; -1: no block before the queries join, 0: train all"},
    )
    lora: StartOption[Deciding[bool]] = field(
        default=False,
        metadata={"help": "train low-rank adapters of the encoder's blocks in place of its weights, and the heads whole"},
    )
    lora_rank: Deciding[int] = field(default=LORA_RANK, metadata={"help": "rank of the adapters"})
    lora_alpha: Deciding[float | None] = field(
        default=None, metadata={"help": "adapters are scaled by this over their rank; by default twice the rank"}
    )
    lora_targets: Deciding[list[str]] = field(
        default_factory=lambda: list(LORA_TARGETS),
        metadata={"help": f"which linear layers of a block have adapters, of {', '.join(LORA_TARGETS)}"},
    )
    cache_features: Deciding[bool] = field(
        default=False,
        metadata={"help": "keep each image's features of a frozen encoder for all epochs, in memory; needs --augment false"},
    )
    config: StartOption[Deciding[str]] = field(
        default="{}",
        metadata={"help": "configuration fields as JSON, over what the start brings; model_type chooses the architecture"},
    )

    def __post_init__(self):
        if self.checkpoint and self.timm_model:
            raise ValueError(f"checkpoint={self.checkpoint!r} and timm_model={self.timm_model!r}: give one start, not both")
        check_lora(self)
        try:
            self.config_fields = json.loads(self.config)
        except json.JSONDecodeError as error:
            raise ValueError(f"config={self.config!r} is not JSON ({error}); write it like '{{\"num_queries\": 100}}'") from error
        if not isinstance(self.config_fields, dict):
            raise ValueError(f"config={self.config!r} must be a JSON object of configuration fields")
        if self.config_fields:
            from eomt.configuration.field_names import check_config_fields  # which takes a second to load

            check_config_fields(self.config_fields)
            if "model_type" in self.config_fields and self.checkpoint:
                raise ValueError(f"config={self.config!r}: a checkpoint has a model_type of its own; leave it out")
