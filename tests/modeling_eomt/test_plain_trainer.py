"""transformers' own `Trainer`, without anything of this package's training, trains and evaluates the model."""

import numpy as np
import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments

from eomt import EomtForUniversalSegmentation

LABELS = ["mask_labels", "class_labels"]


def rows(count: int) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [
        dict(
            pixel_values=torch.randn(3, 64, 64, generator=generator),
            mask_labels=(torch.rand(1 + index % 2, 64, 64, generator=generator) > 0.5).float(),
            class_labels=torch.arange(1 + index % 2),
        )
        for index in range(count)
    ]


def collate(batch: list[dict]) -> dict:
    pixels = torch.stack([row["pixel_values"] for row in batch])
    return {"pixel_values": pixels, **{name: [row[name] for row in batch] for name in LABELS}}


def bytes_of(outputs) -> int:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return sum(map(bytes_of, outputs)) if isinstance(outputs, list | tuple) else np.asarray(outputs).nbytes


@pytest.fixture
def trainer(tiny_model, tmp_path):
    """`trainer(model_class)`: over four images, and the list of what `compute_metrics` was given."""
    tiny_model().save_pretrained(tmp_path / "model")

    def build(model_class: type) -> tuple[Trainer, list]:
        kept = []
        args = TrainingArguments(
            str(tmp_path / "run"),
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            max_steps=2,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            remove_unused_columns=False,
            label_names=LABELS,
        )
        model = model_class.from_pretrained(tmp_path / "model")
        made = Trainer(
            model,
            args,
            data_collator=collate,
            train_dataset=rows(4),
            eval_dataset=rows(4),
            compute_metrics=lambda prediction: kept.append(prediction.predictions) or {},
        )
        return made, kept

    return build


def test_it_trains(trainer):
    made, _ = trainer(EomtForUniversalSegmentation)
    before = made.model.query.weight.clone()
    assert np.isfinite(made.train().training_loss) and not torch.equal(made.model.query.weight.cpu(), before)


def test_its_evaluation_keeps_what_it_keeps_of_stock(trainer):
    kept = {}
    for name, model_class in (("ours", EomtForUniversalSegmentation), ("stock", transformers.EomtForUniversalSegmentation)):
        made, predictions = trainer(model_class)
        assert np.isfinite(made.evaluate()["eval_loss"])
        kept[name] = bytes_of(predictions[0])
    assert 0 < kept["ours"] <= kept["stock"]
