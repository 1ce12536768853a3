"""What is scored and stored in the middle of a training."""

import torch
from transformers import AutoModel

from eomt.train_scripts.training.trainer import EomtTrainer


def test_a_save_within_a_save_stores_the_averages_too(tiny_run, tmp_path, monkeypatch):
    """As a save that pushes does, which saves again within."""
    scored = []

    def score(self, stream):
        weight = self.model.class_predictor.weight
        scored.append(weight.detach().clone())
        self.save_model(str(tmp_path / f"within-{len(scored)}"), _internal_call=True)
        assert torch.equal(weight, scored[-1]) and not self.model.attn_mask_probs.any()
        return {"pq": 0.0}

    monkeypatch.setattr(EomtTrainer, "_score", score)
    words = ["--ema_decay", "0.5", "--learning_rate", "1e-2", "--max_grad_norm", "1", "--max_steps", "2"]
    tiny_run(*words, "--eval_strategy", "steps", "--eval_steps", "1")
    for index, weight in enumerate(scored, 1):
        stored = AutoModel.from_pretrained(tmp_path / f"within-{index}")
        assert torch.equal(stored.class_predictor.weight, weight) and not stored.attn_mask_probs.any()
