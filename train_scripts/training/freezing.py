"""Freezing the encoder from below."""

from eomt.modeling_eomt import EomtForUniversalSegmentation


def freeze_blocks(model: EomtForUniversalSegmentation, count: int) -> None:
    """Takes embeddings and first blocks out of the training: they get no gradient, and no backward pass reaches them.

    Args:
        model: to train.
        count: blocks; 0 freezes nothing, the embeddings neither, -1 every block before the queries join.

    Raises:
        ValueError: the model doesn't have so many blocks.
    """
    layers, last = len(model.layers), model.config.num_blocks
    if not -1 <= count <= layers:
        raise ValueError(
            f"frozen_blocks={count} must be in -1..{layers}, the model's blocks; -1 is every block before the queries join: "
            f"{layers - last}"
        )
    if not count:
        return
    model.embeddings.requires_grad_(False)
    model.layers[: layers - last if count == -1 else count].requires_grad_(False)
