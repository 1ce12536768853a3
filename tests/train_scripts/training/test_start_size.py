"""Trainings whose first crops are smaller."""

import pytest
import torch

from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.train_scripts.training.start_size import StartSize

KEPT = ["--save_total_limit", "0"]
WORDS = ["--image_size", "64", "--start_image_size", "32", "--start_share", "0.5", "--max_steps", "4", "--eval_split", ""]


@pytest.fixture
def sides(monkeypatch) -> list[int]:
    """The sides of the crops that the model is given, one a forward pass."""
    seen, forward = [], EomtForUniversalSegmentation.predict_blocks

    def predict_blocks(self, pixel_values, *others, **named):
        seen.append(pixel_values.shape[-1])
        return forward(self, pixel_values, *others, **named)

    monkeypatch.setattr(EomtForUniversalSegmentation, "predict_blocks", predict_blocks)
    return seen


def test_crops_grow_and_the_model_has_the_full_size(tiny_run, tmp_path, sides, capsys):
    trainer = tiny_run(*WORDS)
    assert sides == [32, 32, 64, 64] and trainer.model.config.image_size == 64
    assert "crops of 32 pixels for 50 % of the training, then crops of 64 pixels" in capsys.readouterr().out


def test_a_resumed_run_goes_on_with_the_same_crops(tiny_run, tmp_path, sides):
    whole = tiny_run(*WORDS, "--output_dir", str(tmp_path / "whole"), "--save_strategy", "steps", "--save_steps", "1", *KEPT)
    sides.clear()
    checkpoint = str(tmp_path / "whole" / "checkpoint-1")
    resumed = tiny_run(*WORDS, "--output_dir", str(tmp_path / "resumed"), "--resume_from_checkpoint", checkpoint)
    assert sides == [32, 64, 64]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_the_share_is_of_the_progress():
    none = torch.zeros(0, dtype=torch.long)
    batch = {
        "pixel_values": torch.zeros(1, 3, 4, 4),
        "id_maps": torch.zeros(1, 4, 4),
        "segment_ids": [none],
        "class_labels": [none],
    }
    start = StartSize(2, 0.25)
    assert [start.of(batch, progress)["pixel_values"].shape[-1] for progress in (0.0, 0.249, 0.25, 1.0)] == [2, 2, 4, 4]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--start_image_size", "64"], "start_image_size=64 must be positive and less than image_size=64"),
        (["--start_image_size", "-16"], "start_image_size=-16 must be positive and less than image_size=64"),
        (["--start_image_size", "40"], "start_image_size=40 must be a multiple of 16, as all inputs of this model, such as 32"),
        (["--start_share", "0.2", "--fit_to_data", "true"], "start_share=0.2 has no effect without start_image_size"),
        (["--start_share", "0.2"], "start_share=0.2 has no effect without start_image_size"),
        (["--start_image_size", "32", "--start_share", "1"], "start_share=1.0 must lie between 0 and 1"),
    ],
)
def test_crops_that_cannot_be_are_refused(tiny_run, words, message):
    with pytest.raises(ValueError, match=message):
        tiny_run("--image_size", "64", *words)


def test_none_are_asked_for_by_0(tiny_run, sides):
    tiny_run("--image_size", "64", "--start_image_size", "0", "--max_steps", "2", "--eval_split", "")
    assert sides == [64, 64]


def test_the_grid_is_the_models(tiny_run):
    """Row 0 of Table 1 takes multiples of 32."""
    row_0 = '{"model_type": "eomt_ladder", "row": 0, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 4}'
    with pytest.raises(ValueError, match="start_image_size=48 must be a multiple of 32, as all inputs of this model, such as 32"):
        tiny_run("--image_size", "96", "--start_image_size", "48", "--config", row_0)


def test_features_are_not_kept_of_crops_that_change(tiny_run):
    words = ["--frozen_blocks", "-1", "--augment", "false", "--cache_features"]
    with pytest.raises(ValueError, match="start_image_size=32 changes their size"):
        tiny_run("--image_size", "64", "--start_image_size", "32", *words)
