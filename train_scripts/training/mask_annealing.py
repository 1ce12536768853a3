"""The callback that phases masked attention out (paper, section 3.3)."""

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.schedules import MASKING_MODES, mask_probability


class MaskAnnealingCallback(TrainerCallback):
    """
    Sets the masking probability of each of the last blocks before every step.

    Args:
        progress: of the training.
        mode: `annealed` as in the paper, `always` masked, or `never`.
        power: of the annealing's polynomial.
        first_block: share of the training over which the first block anneals, see [`mask_probability`].

    Raises:
        ValueError: for another mode.
    """

    def __init__(self, progress: TrainingProgress, mode: str = "annealed", power: float = 0.9, first_block: float | None = None):
        check_choice("masking", mode, MASKING_MODES)
        self.progress, self.mode, self.power, self.first_block = progress, mode, power, first_block

    def probabilities(self, progress: float, num_blocks: int) -> list[float]:
        """Masking probabilities at a progress.

        Args:
            progress: share of the training that is done.
            num_blocks: `L2`, the blocks that take part in masking.

        Returns:
            `L2` probabilities, the earliest block's first.
        """
        if self.mode != "annealed":
            return [1.0 if self.mode == "always" else 0.0] * num_blocks
        return [mask_probability(progress, block, num_blocks, self.power, self.first_block) for block in range(num_blocks)]

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: MaskClassifier, **_
    ) -> None:
        model.set_attn_mask_probs(self.probabilities(self.progress.value, len(model.attn_mask_probs)))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: MaskClassifier, **_
    ) -> None:
        """Leaves the model with the probabilities of the end: zeros, unless it is masked to the end."""
        model.set_attn_mask_probs(self.probabilities(1.0, len(model.attn_mask_probs)))
