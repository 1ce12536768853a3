"""Architectures by name: what differs from their configuration's defaults.

Those of the paper are in its section 4.1 and Table A. DINOv3's are the released encoders, of which the authors trained S, B and L.
"""

from eomt.configuration.base import EomtBaseConfig
from eomt.configuration.configuration_eomt import EomtConfig
from eomt.configuration.configuration_eomt_dinov3 import EomtDinov3Config
from eomt.configuration.configuration_eomt_eva02 import EomtEva02Config
from eomt.configuration.configuration_eomt_ladder import EomtDinov3LadderConfig, EomtEva02LadderConfig, EomtLadderConfig

# of EoMT, one an encoder
CONFIGURATIONS: tuple[type[EomtBaseConfig], ...] = (EomtConfig, EomtDinov3Config, EomtEva02Config)
# of rows 0 to 3 of Table 1, on the encoder of each
LADDERS: tuple[type[EomtBaseConfig], ...] = (EomtLadderConfig, EomtDinov3LadderConfig, EomtEva02LadderConfig)
MODEL_TYPES: dict[str, type[EomtBaseConfig]] = {known.model_type: known for known in (*CONFIGURATIONS, *LADDERS)}

SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, num_blocks=3)
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_blocks=3)
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, num_blocks=4)
GIANT = dict(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, num_blocks=5)
HUGE = dict(hidden_size=1280, num_hidden_layers=32, num_attention_heads=20, num_blocks=5)
SEVEN_BILLION = dict(hidden_size=4096, num_hidden_layers=40, num_attention_heads=32, num_blocks=5)

DINOV3 = dict(model_type="eomt_dinov3", layer_norm_eps=1e-5)
GATED = dict(use_gated_mlp=True, hidden_act="silu")

ARCHITECTURES: dict[str, dict] = {
    "small": SMALL,
    "base": BASE,
    "large": LARGE,
    "giant": {**GIANT, "use_swiglu_ffn": True},
    "eva02_large": {"model_type": "eomt_eva02", **LARGE},
    "deit3_large": {**LARGE, "num_register_tokens": 0},
    "dinov3_small": {**DINOV3, **SMALL, "intermediate_size": 1536},
    "dinov3_small_plus": {**DINOV3, **SMALL, **GATED, "intermediate_size": 1536},
    "dinov3_base": {**DINOV3, **BASE, "intermediate_size": 3072},
    "dinov3_large": {**DINOV3, **LARGE, "intermediate_size": 4096},
    "dinov3_huge_plus": {**DINOV3, **HUGE, **GATED, "intermediate_size": 5120},
    "dinov3_7b": {**DINOV3, **SEVEN_BILLION, **GATED, "intermediate_size": 8192, "query_bias": False, "value_bias": False},
}


def architecture_config(name: str, **overrides) -> EomtBaseConfig:
    """The configuration of a named architecture, with patch size 16, 640 pixels and 200 queries.

    Args:
        name: `small`, `base`, `large` or `giant` (DINOv2 with four registers), or one of the other keys of `ARCHITECTURES`.
        overrides: any field of the configuration.

    Raises:
        ValueError: for another name.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture={name!r} is unknown; choose one of {', '.join(ARCHITECTURES)}")
    model_type = ARCHITECTURES[name].get("model_type", EomtConfig.model_type)
    fields = {field: value for field, value in ARCHITECTURES[name].items() if field != "model_type"}
    return MODEL_TYPES[model_type](**{**fields, **overrides})


def ladder_architecture(name: str, row: int, **overrides) -> EomtBaseConfig:
    """The configuration of a row of Table 1 on the encoder of a named architecture.

    Args:
        name: a key of `ARCHITECTURES`.
        row: 0 to 3.
        overrides: any field of the configuration.

    Raises:
        ValueError: for another name or row.
    """
    encoder = type(architecture_config(name))
    [ladder] = [known for known in LADDERS if issubclass(known, encoder)]
    fields = {field: value for field, value in ARCHITECTURES[name].items() if field != "model_type"}
    return ladder(**{**fields, "num_blocks": 0, "row": row, **overrides})
