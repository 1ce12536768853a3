"""Which of equally good models is the best."""

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class LaterOfEqualScores(TrainerCallback):
    """
    Of equal scores the later counts as the better, where Trainer keeps the earlier.

    A run whose scores are still zero must not end with the model that it began with. Trainer compares a score with `best_metric`
    right after `on_evaluate`, and any score is better than none.
    """

    def __init__(self):
        self._training = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self._training = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """An evaluation after the training chooses nothing, and so must leave `best_metric` as it is."""
        self._training = False

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_
    ) -> None:
        if self._training and metrics.get(args.metric_for_best_model) == state.best_metric:
            state.best_metric = None
