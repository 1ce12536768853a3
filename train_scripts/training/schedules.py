"""Learning rates and masking probabilities as pure functions of training progress, a number in [0, 1]."""

# The published 88,692 steps (COCO, 12 epochs) warm new parameters up for 500 steps, then the encoder for 1,000.
HEAD_WARMUP = 500 / 88692
ENCODER_WARMUP = 1000 / 88692
MASKING_MODES = ("annealed", "always", "never")


def share_of_training(length: float, steps: int) -> float:
    """A length as a share of the training's steps: as it is below 1, else a number of steps."""
    return length / steps if length >= 1 else length


def polynomial_decay(progress: float, power: float = 0.9) -> float:
    """Falls from 1 at progress 0 to 0 at 1; 1 before and 0 after."""
    return (1 - min(1.0, max(0.0, progress))) ** power


def learning_rate_factor(progress: float, start: float, warmup: float, power: float = 0.9) -> float:
    """Zero until `start`, linear to 1 over `warmup`, then polynomial to 0 at the end (paper, section A.2).

    Args:
        progress: share of the training that is done.
        start: progress at which the warm-up begins: 0 for new parameters, the end of their warm-up for pretrained ones.
        warmup: length of the warm-up, a share of the training; `start + warmup` must be below 1.
        power: of the decay.
    """
    if progress < start:
        return 0.0
    if progress < start + warmup:
        return (progress - start) / warmup
    return polynomial_decay((progress - start - warmup) / (1 - start - warmup), power)


def mask_probability(progress: float, block: int, num_blocks: int, power: float = 0.9, first_block: float | None = None) -> float:
    """Probability of masked attention in one of the last L2 blocks (paper, section 3.3, figure 4).

    Block `i` anneals from 1 to 0 over a sixth of the training, starting at `1/6 + i/(L2 - 1) * 1/2`: the first block from a
    sixth on, the last up to five sixths; the final sixth is trained unmasked.
    The authors' recipes for DINOv3 anneal the first block at once.

    Args:
        progress: share of the training that is done.
        block: `i`, 0 for the earliest of the last blocks.
        num_blocks: `L2`.
        power: of the decay.
        first_block: share of the training, from its start on, over which block 0 anneals; by default like the others.
    """
    if block == 0 and first_block is not None:
        return polynomial_decay(progress / first_block, power)
    start = 1 / 6 + (block / (num_blocks - 1) / 2 if num_blocks > 1 else 0.0)
    return polynomial_decay((progress - start) * 6, power)
