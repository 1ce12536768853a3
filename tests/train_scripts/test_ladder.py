"""Rows 0 to 3 of Table 1 by the commands that train, score and predict EoMT."""

import json

import pytest
import torch
from PIL import Image
from transformers import AutoModel

from eomt import EomtLadderForUniversalSegmentation
from eomt.ladder.mask2former import hidden_positions
from eomt.train_scripts import predict as predict_script
from eomt.train_scripts import score as score_script
from eomt.train_scripts.evaluation.predicting import predict
from eomt.train_scripts.evaluation.scoring import score

CONFIG = {
    "model_type": "eomt_ladder",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_queries": 9,
    "decoder_width": 32,
    "decoder_layers": 3,
    "pixel_decoder_layers": 1,
    "train_num_points": 64,
}


@pytest.mark.parametrize("row", range(4))
def test_a_row_is_trained_scored_and_predicted_with(tiny_run, few_scenes, tmp_path, row):
    words = ("--config", json.dumps({**CONFIG, "row": row}), "--image_size", "96", "--masking", "always", "--layer_decay", "0.8")
    trainer = tiny_run(*words, "--max_steps", "2")
    assert type(trainer.model) is EomtLadderForUniversalSegmentation and trainer.model.attn_mask_probs.tolist() == [1, 1, 1]
    terms = [name for name in trainer.state.log_history[0] if name.startswith("loss_")]
    assert len(terms) == 3 * 4  # three terms of the initial prediction and after each layer
    stored = AutoModel.from_pretrained(tmp_path)
    assert "A step on the way from ViT-Adapter + Mask2Former to EoMT for panoptic" in (tmp_path / "README.md").read_text()
    assert stored.config.row == row and stored.attn_mask_probs.tolist() == [1, 1, 1]

    scores, labels = score(checkpoint=tmp_path, data=few_scenes, split="val", task="panoptic")
    assert 0 <= scores["pq"] <= 1 and len(labels) == stored.config.num_labels
    (tmp_path / "images").mkdir()
    Image.new("RGB", (90, 60)).save(tmp_path / "images" / "one.png")
    options = dict(images=tmp_path / "images", output=tmp_path / "predicted", task="panoptic")
    assert predict(checkpoint=tmp_path, **options)["predicted"] == 1


@pytest.fixture
def masked_evaluations(monkeypatch) -> list[bool]:
    """An entry for each masked layer of a forward pass without gradients."""
    made = []

    def recorded(*args):
        made.extend([True] * (not torch.is_grad_enabled()))
        return hidden_positions(*args)

    monkeypatch.setattr("eomt.modeling_eomt_ladder.hidden_positions", recorded)
    return made


@pytest.mark.parametrize(("masking", "masked"), [("always", True), ("annealed", False)])
def test_a_run_and_the_commands_score_and_predict_a_row_as_it_was_trained(
    tiny_run, few_scenes, tmp_path, masked_evaluations, masking, masked
):
    words = ("--config", json.dumps({**CONFIG, "row": 3}), "--task", "semantic", "--masking", masking, "--image_size", "96")
    tiny_run(*words)
    assert bool(masked_evaluations) == masked
    for asked, expected in (("", masked), ("--masked", True), ("--masked true", True), ("--masked false", False)):
        common = f"--checkpoint {tmp_path} --task semantic --bf16 false --debug {asked}".split()
        masked_evaluations.clear()
        score_script.main([*common, "--data", str(few_scenes), "--output", str(tmp_path / "scores.json")])
        assert json.loads((tmp_path / "scores.json").read_text())["masked"] == bool(masked_evaluations) == expected
        masked_evaluations.clear()
        predict_script.main([*common, "--images", str(few_scenes), "--output", str(tmp_path / f"maps{asked}")])
        assert json.loads((tmp_path / f"maps{asked}" / "run.json").read_text())["masked"] == bool(masked_evaluations) == expected


def test_a_rows_masks_are_annealed_layer_by_layer(tiny_run):
    trainer = tiny_run("--config", json.dumps({**CONFIG, "row": 3}), "--max_steps", "6")
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [[entry[f"mask_probability_{layer}"] for entry in logs] for layer in range(3)] == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, pytest.approx(0.5**0.9, rel=1e-4), 0, 0],
        [1, 1, 1, 1, 1, 0],
    ]
    assert not trainer.model.attn_mask_probs.any()
