"""Piloted queries in whole runs: what is logged, stored and resumed, and which models can't have any."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.eomt import EomtForUniversalSegmentation as StockModel

from eomt.criterion.piloted_loss import TERMS
from eomt.train_scripts import train
from eomt.train_scripts.evaluation.checkpoints import FINISHED

RUN = ["--max_steps", "6", "--learning_rate", "1e-2", "--max_grad_norm", "1", "--eval_split", "", "--ema_decay", "0.5"]
RUN += ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "0"]
PILOTED = [*RUN, "--pilot_queries", "5", "--pilot_noise", "0.2"]


def logs_of(trainer) -> list[dict[str, float]]:
    timing = ("runtime", "per_second", "_flos")
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [{name: value for name, value in entry.items() if not name.endswith(timing)} for entry in entries]


def test_the_first_losses_of_other_queries_are_those_of_a_run_without(tiny_run, tmp_path):
    without, piloted = (
        logs_of(tiny_run(*words, "--output_dir", str(tmp_path / name))) for name, words in (("a", RUN), ("b", PILOTED))
    )
    assert not any(name in entry for entry in without for name in TERMS)
    masked = [entry["mask_probability_1"] > 0 for entry in piloted]
    assert [all(entry[name] > 0 for name in TERMS) for entry in piloted] == masked == [True] * 5 + [False]
    assert all(entry[name] == 0 for name in TERMS for entry in piloted[5:])
    terms = [name for name in without[0] if name.startswith("loss_")]
    assert {name: piloted[0][name] for name in terms} == pytest.approx({name: without[0][name] for name in terms}, abs=2e-4)
    assert piloted[0]["loss"] == pytest.approx(without[0]["loss"] + sum(piloted[0][name] for name in TERMS), abs=1e-3)
    assert piloted[3]["loss_mask"] != without[3]["loss_mask"]  # they are trained on


def test_the_finished_model_is_stocks(tiny_run, tmp_path):
    tiny_run(*PILOTED)
    stock, loading = StockModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    assert load_file(tmp_path / "model.safetensors").keys() == stock.state_dict().keys()
    assert "pilot" not in (tmp_path / "config.json").read_text()


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tiny_run, tmp_path):
    words = [*PILOTED, "--per_device_train_batch_size", "2"]
    whole = tiny_run(*words, "--output_dir", str(tmp_path / "whole"))
    again = ["--resume_from_checkpoint", str(tmp_path / "whole" / "checkpoint-2"), "--output_dir", str(tmp_path / "again")]
    resumed = tiny_run(*words, *again)
    assert resumed.state.global_step == 6 and logs_of(resumed) == logs_of(whole)
    for name in ("model.safetensors", "training_weights.safetensors"):
        one, other = (load_file(tmp_path / run / "checkpoint-6" / name) for run in ("whole", "again"))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    one, other = (torch.load(tmp_path / run / "checkpoint-6" / "optimizer.pt")["state"] for run in ("whole", "again"))
    assert all(torch.equal(state[key], other[index][key]) for index, state in one.items() for key in state)


def test_a_checkpoint_of_another_number_is_not_taken_for_this_runs(tiny_run, tmp_path):
    tiny_run(*PILOTED)
    (tmp_path / FINISHED).unlink()
    with pytest.raises(ValueError, match="pilot_queries=6 instead of 5"):
        tiny_run(*PILOTED, "--pilot_queries", "6")


def test_accumulated_batches_take_the_steps_of_whole_ones(tiny_run, tmp_path):
    whole, parts = (
        logs_of(tiny_run(*PILOTED, "--per_device_train_batch_size", size, "--output_dir", str(tmp_path / size))) for size in "41"
    )
    for one, other in zip(whole, parts, strict=True):
        assert {name: other[name] for name in ("loss", *TERMS)} == pytest.approx(
            {name: one[name] for name in ("loss", *TERMS)}, rel=1e-3
        )


def test_adapters_can_be_trained_with_them(tiny_run, tiny_words, tmp_path):
    tiny_run("--eval_split", "", "--masking", "always", "--output_dir", str(tmp_path / "start"))
    at = tiny_words.index("--config")
    words = [*tiny_words[:at], *tiny_words[at + 2 :], "--checkpoint", str(tmp_path / "start"), "--lora", "--lora_rank", "2"]
    trainer = train.run([*words, "--eval_split", "", "--pilot_queries", "5", "--output_dir", str(tmp_path / "out")])
    assert all(logs_of(trainer)[0][name] > 0 for name in TERMS)


def test_a_model_without_queries_in_its_blocks_is_refused(tiny_run, tiny_words):
    config = json.loads(tiny_words[tiny_words.index("--config") + 1])
    config |= {"model_type": "eomt_ladder", "row": 3, "num_blocks": 0, "decoder_layers": 3, "decoder_width": 32}
    with pytest.raises(ValueError, match="pilot_queries=5 needs an EoMT of this package.*not EomtLadderForUniversal"):
        tiny_run("--config", json.dumps(config), "--eval_split", "", "--pilot_queries", "5")
