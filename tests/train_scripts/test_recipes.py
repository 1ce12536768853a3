"""The bundled recipes: a starting point a task over the same defaults."""

import json
from pathlib import Path

import pytest
import yaml

from eomt.train_scripts import train
from eomt.train_scripts.evaluation.tasks import TASKS, task_of
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments

FOLDER = Path(__file__).parents[2] / "train_scripts/recipes"
SMALL = ["--overlays", "0", "--num_train_epochs", "3", "--max_steps", "-1", "--save_strategy", "best"]


@pytest.mark.parametrize("task", TASKS)
def test_the_head_says_what_a_reader_wants_to_know(task):
    head = [line for line in (FOLDER / f"{task}.yaml").read_text().splitlines() if line.startswith("#")]
    assert all(f"{word}: " in "\n".join(head) for word in ("Source", "Expected", "Hardware", "Cost"))
    assert head[-1].startswith(f"# Command: python train_scripts/train.py --recipe {task} ")


@pytest.mark.parametrize("task", TASKS)
def test_a_recipe_says_what_differs_from_the_defaults_and_the_command_line_wins(task, tmp_path):
    words = ["--data", "d", "--output_dir", str(tmp_path)]
    classes = (ModelArguments, DataArguments, EomtTrainingArguments)
    default = {key: value for part in parse_arguments(classes, words) for key, value in vars(part).items()}
    for key, value in yaml.safe_load((FOLDER / f"{task}.yaml").read_text()).items():
        assert key == "task" or str(default[key]) != str(value), f"{key} is the default"
    model, data, args = parse_arguments(classes, ["--recipe", task, *words, "--bf16", "false", "--eval_steps", "0.2"])
    assert data.task == task and not args.bf16 and args.eval_steps == 0.2
    assert args.load_best_model_at_end and args.save_strategy == "best" and args.learning_rate == 1e-4
    semantic = task == "semantic"
    assert (data.min_scale, data.max_scale, data.color_jitter) == ((0.5, 2.0, True) if semantic else (0.1, 2.0, False))
    assert model.config_fields.get("num_queries", 200) == (100 if semantic else 200)


@pytest.mark.parametrize("task", TASKS)
def test_a_recipe_trains_scores_and_keeps_the_best(task, tiny_words, tmp_path):
    trainer = train.run(["--recipe", task, *tiny_words, *SMALL, "--output_dir", str(tmp_path)])
    name = f"eval_{task_of(task).main_score}"
    scores = [entry[name] for entry in trainer.state.log_history if name in entry]
    assert len(scores) == 7 and trainer.state.global_step == 6  # a tenth of six steps is one
    assert trainer.state.best_metric == max(scores[:-1]) == scores[-1]
    assert json.loads((tmp_path / "eval_results.json").read_text())[name] == scores[-1]
    assert len(list(tmp_path.glob("checkpoint-*"))) == 1
