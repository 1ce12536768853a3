"""Trains transformers' own EoMT in this project's training loop: same streams, augmentation, schedules and clock.

    python benchmarks/stock_model.py --recipe benchmarks/dsb2018.yaml --data DIR --timm_model FILE --output_dir OUT

Takes the options of `train_scripts/train.py`. Model, matching and loss are transformers'; the weights at the start are ours.
"""

import sys
from collections.abc import Sequence

import transformers
from torch import Tensor

from eomt import EomtForUniversalSegmentation
from eomt.criterion.targets import ImageTargets
from eomt.mask_classifier import MaskClassifier
from eomt.prediction import Prediction
from eomt.randomness import ImageDraws
from eomt.train_scripts.train import run
from eomt.train_scripts.training.building import build_model


class StockModel(MaskClassifier, transformers.EomtForUniversalSegmentation):
    """transformers' EoMT under this package's contract.

    Its random draws and loss divisors are its own: `sample_keys` and `loss_normalizers` have no effect, so that accumulated
    batches are weighted equally. Its loss fails on images without a segment, which it therefore leaves out.
    """

    def __init__(self, config: transformers.EomtConfig):
        super().__init__(config)
        self.init_masking(config.num_blocks)
        self._predictions: list[Prediction] = []  # of the forward pass at hand

    def predict(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Keeps what transformers' forward pass reads off the tokens at each depth."""
        mask_logits, class_logits = super().predict(logits)
        self._predictions.append(Prediction(mask_logits, class_logits))
        return mask_logits, class_logits

    def predict_blocks(self, pixel_values: Tensor, supervised: bool, draws: ImageDraws) -> tuple[Tensor, list[Prediction]]:
        self._predictions = []
        outputs = transformers.EomtForUniversalSegmentation.forward(self, pixel_values)
        predictions, self._predictions = self._predictions, []
        return outputs.last_hidden_state, predictions if supervised else predictions[-1:]

    def loss_terms(
        self,
        predictions: Sequence[Prediction],
        targets: Sequence[ImageTargets],
        class_labels: Sequence[Tensor],
        draws: ImageDraws,
        normalizers: Tensor | None,
    ) -> dict[str, Tensor]:
        shown = [image for image, labels in enumerate(class_labels) if len(labels)]
        if not shown:
            return {"loss_mask": predictions[-1].mask_logits.sum() * 0}
        masks = [(targets[image].maps == targets[image].segment_ids[:, None, None]).float() for image in shown]
        classes = [class_labels[image] for image in shown]
        terms: dict[str, Tensor] = {}
        for prediction in predictions:
            for name, term in self.get_loss_dict(
                masks_queries_logits=prediction.mask_logits[shown],
                class_queries_logits=prediction.class_logits[shown],
                mask_labels=masks,
                class_labels=classes,
                auxiliary_predictions=None,
            ).items():
                terms[name] = terms.get(name, 0) + term
        return terms

    def blocks_above(self, name: str) -> int | None:
        return EomtForUniversalSegmentation.blocks_above(self, name)  # the names are transformers' in both

    def freeze_encoder(self, frozen_blocks: int) -> None:
        EomtForUniversalSegmentation.freeze_encoder(self, frozen_blocks)


def build_stock(*arguments) -> StockModel:
    ours: EomtForUniversalSegmentation = build_model(*arguments)
    model = StockModel(transformers.EomtConfig.from_dict(ours.config.to_dict()))
    model.load_state_dict(ours.state_dict())
    for parameter, trained in zip(model.parameters(), ours.parameters(), strict=True):
        parameter.requires_grad_(trained.requires_grad)
    return model


if __name__ == "__main__":
    run(sys.argv[1:], make_model=build_stock)
