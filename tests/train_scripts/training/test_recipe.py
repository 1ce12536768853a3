"""Recipes are parsed like the command line and lose to it."""

import pytest

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments, recipe_words

CLASSES = (ModelArguments, DataArguments, EomtTrainingArguments)


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        (tmp_path / "r.yaml").write_text(text)
        return ["--recipe", str(tmp_path / "r.yaml"), "--data", "d", "--output_dir", str(tmp_path)]

    return write


def test_values_have_the_types_of_their_fields_and_the_command_line_wins(recipe):
    words = recipe("config: {num_queries: 12}\nlearning_rate: 1e-3\ncolor_jitter: true\nmin_scale: 0.5\n")
    model, data, args = parse_arguments(CLASSES, [*words, "--min_scale", "0.7"])
    assert model.config_fields == {"num_queries": 12}
    assert (args.learning_rate, data.color_jitter, data.min_scale) == (1e-3, True, 0.7)


def test_an_unknown_key_is_named_with_the_nearest_one(recipe):
    with pytest.raises(ValueError, match=r"unknown option --learning_rat.*did you mean --learning_rate"):
        parse_arguments(CLASSES, recipe("learning_rat: 1e-3\n"))
    with pytest.raises(ValueError, match="the command line has the unknown option --lerning_rate"):
        parse_arguments(CLASSES, [*recipe("seed: 1\n"), "--lerning_rate", "1"])


def test_a_recipe_that_is_missing_or_no_mapping_is_named(recipe):
    with pytest.raises(FileNotFoundError, match="'coco_panoptic_larg_640' .* did you mean coco_panoptic_large_640[?] Give"):
        parse_arguments(CLASSES, ["--recipe", "coco_panoptic_larg_640", "--data", "d"])
    with pytest.raises(FileNotFoundError, match="'nowhere.yaml' does not exist; give a YAML file or one of: .*demo"):
        parse_arguments(CLASSES, ["--recipe", "nowhere.yaml", "--data", "d"])
    with pytest.raises(FileNotFoundError, match="experiments/semantic.yaml"):  # another than the bundled one
        parse_arguments(CLASSES, ["--recipe", "experiments/semantic.yaml", "--data", "d"])
    with pytest.raises(ValueError, match="must be a mapping"):
        parse_arguments(CLASSES, recipe("- 1\n"))


def test_accumulation_follows_from_the_total_batch_size(recipe):
    _, _, args = parse_arguments(CLASSES, [*recipe("total_batch_size: 12\n"), "--per_device_train_batch_size", "3"])
    assert args.gradient_accumulation_steps == 4
    with pytest.raises(ValueError, match="total_batch_size=12 must be a multiple of per_device_train_batch_size=5"):
        parse_arguments(CLASSES, [*recipe("total_batch_size: 12\n"), "--per_device_train_batch_size", "5"])[2].check_shares()


def test_steps_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="total_batch_size=0 must be at least 1 image"):
        EomtTrainingArguments(total_batch_size=0)
    with pytest.raises(ValueError, match="eval_delay=5 counts steps, which minutes=1 leave open"):
        EomtTrainingArguments(minutes=1, eval_delay=5)
    options = {"eval_strategy": "steps", "eval_steps": 100, "load_best_model_at_end": True, "output_dir": str(tmp_path)}
    with pytest.raises(ValueError, match="save_steps=200, eval_steps=100: .* give save_strategy='best'"):
        EomtTrainingArguments(save_strategy="steps", save_steps=200, **options).settle("pq", ["pq"], True)
    EomtTrainingArguments(save_strategy="steps", save_steps=100, **options).settle("pq", ["pq"], True)
    EomtTrainingArguments(save_strategy="best", save_steps=200, **options).settle("pq", ["pq"], True)


@pytest.mark.parametrize(
    ("total", "processes", "of_pass", "passes"),
    [(16, 1, 4, 4), (16, 8, 2, 1), (2, 1, 2, 1), (6, 2, 3, 1), (15, 3, 1, 5), (7, 1, 1, 7)],
)
def test_a_step_is_shared_out_to_processes_and_passes(monkeypatch, total, processes, of_pass, passes):
    monkeypatch.setattr(EomtTrainingArguments, "world_size", processes)
    args = EomtTrainingArguments(total_batch_size=total)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (of_pass, passes)


def test_a_step_that_cannot_be_shared_out_is_refused(monkeypatch):
    monkeypatch.setattr(EomtTrainingArguments, "world_size", 3)
    for total, other in ((16, 15), (2, 3), (1, 3)):
        with pytest.raises(ValueError, match=f"total_batch_size={total} must be a multiple of 3 processes; use {other}$"):
            EomtTrainingArguments(total_batch_size=total).check_shares()
        with pytest.raises(ValueError, match=f"total_batch_size={total} must be a multiple of 3 processes; use {other}$"):
            EomtTrainingArguments(total_batch_size=total).settle("pq", ["pq"], True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("masking: sometimes", "masking='sometimes'"),
        ("minutes: -1", "minutes=-1.0 must be positive"),
        ("minutes: 1\nfirst_block_annealing: 50", "first_block_annealing=50.0 must be shares below 1"),
        ("first_block_annealing: 0", "first_block_annealing=0.0 must be positive"),
        ("first_block_annealing: 0.1\nmasking: always", "first_block_annealing=0.1 .* masking='always'"),
        ("undecayed_blocks: -2", "undecayed_blocks=-2 must be a number of blocks, or -1"),
        ("pilot_queries: -1", "pilot_queries=-1 must be a number of queries"),
        ("pilot_queries: 20\nmasking: never", "pilot_queries=20 .* masking='never' has none"),
        ("pilot_noise: 0.2", "pilot_noise=0.2 has no effect without pilot_queries"),
        ("pilot_queries: 20\npilot_noise: 2", r"pilot_noise=2.0 must be in \[0, 1\]"),
        ("config: '{'", "is not JSON"),
        ("config: {num_querys: 20}", "no configuration has a field num_querys; did you mean num_queries"),
        ("ema_decay: 1", "ema_decay=1.0 must be between 0 and 1"),
        ("minutes: 1\nlogging_steps: 0.1", "logging_steps=0.1 is a share of steps"),
        ("fp16: true\nuse_cpu: true", "fp16=True needs a GPU"),
        ("min_scale: 3", "min_scale=3.0, max_scale=2.0"),
        ("checkpoint: a\ntimm_model: b", "give one start"),
    ],
)
def test_values_that_make_no_sense_are_refused(recipe, line, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(CLASSES, recipe(line))


def test_warm_ups_may_be_shares_or_steps(recipe):
    _, _, args = parse_arguments(CLASSES, recipe("head_warmup: 500\nencoder_warmup: 0.1\nmax_steps: 10000\n"))
    assert args.warmup_shares() == (0.05, 0.1)
    args.max_steps = 100
    with pytest.raises(ValueError, match="fill all 100 steps"):
        args.warmup_shares()


def test_the_first_blocks_annealing_may_be_a_share_or_steps(recipe):
    _, _, args = parse_arguments(CLASSES, recipe("first_block_annealing: 500\nmax_steps: 10000\n"))
    assert args.first_annealing_share() == 0.05
    args.max_steps = 100
    with pytest.raises(ValueError, match="first_block_annealing=500.0 must be at most the 100 steps"):
        args.first_annealing_share()
    args.first_block_annealing = 0.2
    assert args.first_annealing_share() == 0.2
    args.first_block_annealing = None
    assert args.first_annealing_share() is None


def test_the_defaults_are_the_papers_recipe(recipe):
    _, data, args = parse_arguments(CLASSES, recipe("seed: 0\n"))
    assert (args.learning_rate, args.layer_decay, args.weight_decay, args.max_grad_norm) == (1e-4, 0.8, 0.05, 0.01)
    assert (args.total_batch_size, args.gradient_accumulation_steps, args.poly_power) == (16, 4, 0.9)
    assert (data.image_size, data.min_scale, data.max_scale, data.color_jitter) == (640, 0.1, 2.0, False)
    assert args.accelerator_config.dispatch_batches is False


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("gradient_accumulation_steps: 4", "total_batch_size"),
        ("warmup_steps: 10", "head_warmup"),
        ("lr_scheduler_type: cosine", "poly_power"),
        ("auto_find_batch_size: true", "per_device_train_batch_size"),
        ("data_seed: 3", "seed"),
        ("dataloader_drop_last: true", "leave it out"),
        ("dataloader_num_workers: 1\ndataloader_prefetch_factor: 4", "dataloader_num_workers"),
        ("ignore_data_skip: true", "leave it out"),
        ("label_smoothing_factor: 0.1", "leave it out"),
        ("lr_scheduler_kwargs: {power: 2}", "poly_power"),
        ("dataloader_num_workers: 1\ndataloader_persistent_workers: true", "leave it out"),
        ("prediction_loss_only: true", "leave it out"),
        ("include_for_metrics: [loss]", "leave it out"),
    ],
)
def test_options_of_trainer_that_would_be_ignored_are_refused(recipe, line, instead):
    with pytest.raises(ValueError, match=f"has no effect in this recipe; .*{instead}"):
        parse_arguments(CLASSES, recipe(line))


def test_a_key_without_a_value_is_refused_and_a_list_is_several_words(recipe, tmp_path):
    with pytest.raises(ValueError, match="gives eval_split no value"):
        parse_arguments(CLASSES, recipe("eval_split:\n"))
    recipe("report_to: [tensorboard, wandb]\n")
    assert recipe_words(tmp_path / "r.yaml") == ["--report_to", "tensorboard", "wandb"]


def test_epochs_become_steps_by_the_rows_recorded(recipe):
    """COCO's 118,287 images, 12 epochs and batch 16 are the published 88,692 steps, give or take the last batch of an epoch."""
    _, _, args = parse_arguments(CLASSES, recipe("num_train_epochs: 12\n"))
    args.epochs_to_steps(118_287)
    assert args.max_steps == pytest.approx(88_692, abs=30)
    _, _, args = parse_arguments(CLASSES, recipe("max_steps: 7\n"))
    args.epochs_to_steps(118_287)
    assert args.max_steps == 7


def test_evaluating_saving_and_logging_once_an_epoch_become_steps_too(recipe):
    text = "eval_strategy: epoch\nsave_strategy: epoch\nlogging_strategy: epoch\neval_delay: 2\nload_best_model_at_end: true\n"
    _, _, args = parse_arguments(CLASSES, recipe(text))
    args.epochs_to_steps(1600)
    assert (args.eval_strategy, args.save_strategy, args.logging_strategy) == ("steps", "steps", "steps")
    assert (args.eval_steps, args.save_steps, args.logging_steps, args.eval_delay) == (100, 100, 100, 200)


def test_several_reports(recipe):
    _, _, args = parse_arguments(CLASSES, [*recipe("seed: 0\n"), "--report_to", "tensorboard", "wandb"])
    assert args.report_to == ["tensorboard", "wandb"]
    assert parse_arguments(CLASSES, recipe("seed: 0\n"))[2].report_to == []
