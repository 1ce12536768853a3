"""What the shapes of timm's weights say of any ViT.

Shapes: `D` width.
"""

from typing import Any

from torch import Tensor

CLASSIFIER_PREFIXES = ("head.", "fc_norm.")


def require(weights: dict[str, Tensor], *names: str) -> None:
    """Checks that weights of these names are there.

    Raises:
        ValueError: naming those that are not.
    """
    absent = [name for name in names if name not in weights]
    if absent:
        raise ValueError(f"weights has no {', '.join(absent)}; expected the state dict of a plain timm ViT with a class token")


def common_fields(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Configuration fields that are read off alike for every ViT.

    Heads are 64 wide, the patch size is 16, and `num_blocks` is the paper's.
    """
    require(weights, "cls_token", "patch_embed.proj.weight", "blocks.0.mlp.fc2.weight")
    hidden_size, num_channels = weights["patch_embed.proj.weight"].shape[:2]
    depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    return dict(
        hidden_size=hidden_size,
        num_hidden_layers=depth,
        num_attention_heads=max(1, hidden_size // 64),
        patch_size=16,
        num_channels=num_channels,
        num_register_tokens=count_registers(weights),
        num_blocks=blocks_with_queries(depth),
    )


def blocks_with_queries(depth: int) -> int:
    """The paper's number of blocks with queries for an encoder of so many blocks (section 4.1)."""
    return min(depth, 3 if depth <= 12 else 4 if depth <= 24 else 5)


def count_registers(weights: dict[str, Tensor]) -> int:
    """Register tokens, each with (D,) values."""
    return weights["reg_token"].shape[1] if "reg_token" in weights else 0
