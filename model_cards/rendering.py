"""Fills the template that all model cards share."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

TEMPLATE = Path(__file__).parent / "template.md"


def runs_in_transformers(model_type: str) -> bool:
    """Whether transformers has a model of this type by itself, which then reads a checkpoint without this package."""
    return model_type in CONFIG_MAPPING_NAMES


def render_card(metadata: ModelCardData, *, model_type: str, **fields: Any) -> ModelCard:
    """Fills `model_cards/template.md`.

    Args:
        metadata: of the card's head.
        model_type: of the model's configuration.
        fields: `title`, `introduction`, `sections` {heading: text}, `model_id`, `task`, `limits` and `licence`.
    """
    known = {"model_type": model_type, "in_transformers": runs_in_transformers(model_type)}
    return ModelCard.from_template(metadata, template_str=TEMPLATE.read_text(encoding="utf-8"), **known, **fields)
