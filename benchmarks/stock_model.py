"""Trains transformers' own EoMT in this project's training loop: same streams, augmentation, schedules and clock.

    python benchmarks/stock_model.py --recipe benchmarks/dsb2018.yaml --data DIR --timm_model FILE --output_dir OUT

Takes the options of `train_scripts/train.py`. Model, matching and loss are transformers'; the weights at the start are ours.
"""

import sys
from collections.abc import Sequence

import transformers
from torch import Tensor

from eomt import EomtForUniversalSegmentation
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.train import run
from eomt.train_scripts.training.building import build_model


class StockModel(transformers.EomtForUniversalSegmentation):
    """Takes a batch of our collator. The loss knows no joint divisors; images without a segment, on which it fails, stay out."""

    def forward(self, pixel_values: Tensor, id_maps=None, segment_ids=None, class_labels=None, **_):
        if id_maps is None:
            return super().forward(pixel_values)
        shown = [place for place, ids in enumerate(segment_ids) if len(ids)]
        masks = [(id_maps[place] == segment_ids[place][:, None, None]).float() for place in shown]
        outputs = super().forward(pixel_values[shown], mask_labels=masks, class_labels=[class_labels[place] for place in shown])
        return EomtForUniversalSegmentationOutput(
            loss=outputs.loss,
            class_queries_logits=outputs.class_queries_logits,
            masks_queries_logits=outputs.masks_queries_logits,
            loss_terms={"loss_all_terms": outputs.loss},
        )

    def set_attn_mask_probs(self, probabilities: Sequence[float] | Tensor) -> None:
        self.attn_mask_probs.copy_(self.attn_mask_probs.new_tensor([float(p) for p in probabilities]))


def build_stock(*arguments) -> StockModel:
    ours: EomtForUniversalSegmentation = build_model(*arguments)
    config = transformers.EomtConfig.from_dict(ours.config.to_dict())
    model = StockModel(config)
    model.load_state_dict(ours.state_dict())
    model.set_attn_implementation(ours.config._attn_implementation)
    return model


if __name__ == "__main__":
    run(sys.argv[1:], make_model=build_stock)
