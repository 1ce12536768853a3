"""What a run says before it begins, and how long it will take."""

import json
import shutil

import pytest

from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.split_report import SplitReport
from eomt.train_scripts.training.announcement import most_segments
from eomt.train_scripts.training.data_arguments import DataArguments


def test_machine_images_steps_and_start(tiny_run, capsys, few_scenes):
    tiny_run("--max_steps", "2", "--total_batch_size", "4")
    shown = capsys.readouterr().out
    assert "runs in:     1 process on the CPU" in shown and "float32, sdpa attention" in shown
    assert f"trains on:   8 images of {few_scenes} (train), 2 steps of 4 images (1 epochs)" in shown
    assert "scores on:   3 images (val)" in shown
    assert "starts from: RANDOM WEIGHTS: give timm_model or checkpoint" in shown


def test_too_few_queries_are_said(tmp_path):
    """Things of another image are pasted over one; of a class of a semantic map there is one segment."""
    write_labels(tmp_path, Labels(["cell", "slide"], [True, False]))
    assert most_segments(DataArguments(str(tmp_path))) == 0  # without a report
    SplitReport(images=1, most_segments=30).save(tmp_path / "train_report.json")
    counts = {"instance": 30, "panoptic": 30, "semantic": 2}
    assert {task: most_segments(DataArguments(str(tmp_path), task=task)) for task in counts} == counts
    assert most_segments(DataArguments(str(tmp_path), task="instance", copy_paste=0.5)) == 60
    assert most_segments(DataArguments(str(tmp_path), task="instance", copy_paste=0.5, min_scale=2.0, max_scale=3.0)) == 16


def test_a_run_says_that_its_queries_are_too_few(tiny_run, few_scenes, tmp_path, capsys):
    words = ["--data", str(shutil.copytree(few_scenes, tmp_path / "data")), "--output_dir", str(tmp_path / "run")]
    SplitReport(images=8, most_segments=500).save(tmp_path / "data/train_report.json")
    trainer = tiny_run(*words)
    queries = trainer.model.config.num_queries
    assert f"queries:     {queries}, but a crop may show 500 segments" in capsys.readouterr().out


def test_a_start_from_a_checkpoint_and_a_budget_of_minutes(tiny_run, capsys, tmp_path):
    tiny_run("--output_dir", str(tmp_path / "start"), "--eval_split", "")
    capsys.readouterr()
    words = ["--checkpoint", str(tmp_path / "start"), "--minutes", "0.01", "--eval_split", "", "--bf16", "true"]
    tiny_run(*words, "--output_dir", str(tmp_path / "next"))
    shown = capsys.readouterr().out
    assert "starts from: a checkpoint on disk" in shown and "RANDOM" not in shown
    assert "0.01 minutes of steps of 4 images" in shown and "scores on:   nothing" in shown and "bfloat16 autocast" in shown


def test_the_time_to_go_is_told_once_after_the_first_steps(tiny_run, capsys):
    tiny_run("--max_steps", "8", "--disable_tqdm", "false", "--eval_split", "")
    output = capsys.readouterr()
    assert (output.out + output.err).count("to go") == 1


@pytest.mark.parametrize("words", [["--attn_implementation", "eager"], ["--bf16", "true"]])
def test_options_overrule_the_choice(tiny_run, words):
    trainer = tiny_run("--eval_split", "", *words)
    assert trainer.args.bf16 == ("--bf16" in words)
    assert trainer.model.config._attn_implementation == ("eager" if "eager" in words else "sdpa")
    assert json.loads(trainer.args.to_json_string())["fp16"] is False
