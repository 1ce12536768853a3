"""Fills the template that all model cards share."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

TEMPLATE = Path(__file__).parent / "template.md"


def render_card(metadata: ModelCardData, **fields: Any) -> ModelCard:
    """Fills `model_cards/template.md`.

    Args:
        metadata: of the card's head.
        fields: `title`, `introduction`, `sections` {heading: text}, `model_id`, `task`, `limits` and `licence`.
    """
    return ModelCard.from_template(metadata, template_str=TEMPLATE.read_text(encoding="utf-8"), **fields)
