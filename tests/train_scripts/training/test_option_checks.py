"""Options that are refused: those without effect, and values out of range."""

from dataclasses import fields

import pytest
from transformers import TrainingArguments

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import LEAST as LEAST_OF_DATA
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.option_checks import LEAST, REPLACED

WORKING = {  # options of transformers that have their effect here
    *("output_dir", "per_device_train_batch_size", "per_device_eval_batch_size", "num_train_epochs", "max_steps"),
    *("learning_rate", "optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("max_grad_norm", "neftune_noise_alpha", "bf16", "fp16", "tf32", "seed", "full_determinism", "use_cpu"),
    *("activation_checkpointing", "activation_checkpointing_kwargs", "gradient_checkpointing", "gradient_checkpointing_kwargs"),
    *("torch_compile", "torch_compile_backend", "torch_compile_mode", "torch_empty_cache_steps", "debug", "skip_memory_metrics"),
    *("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "log_on_each_node", "log_level"),
    *("log_level_replica", "include_num_input_tokens_seen", "disable_tqdm", "report_to", "run_name", "project"),
    *("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    *("eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
    *("save_strategy", "save_steps", "save_total_limit", "save_only_model", "save_on_each_node", "load_best_model_at_end"),
    *("metric_for_best_model", "greater_is_better", "resume_from_checkpoint", "restore_callback_states_from_checkpoint"),
    *("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision"),
    *("dataloader_num_workers", "dataloader_pin_memory", "dataloader_multiprocessing_context"),
    *("accelerator_config", "parallelism_config", "local_rank", "deepspeed", "fsdp", "fsdp_config"),
    *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout"),
}


def test_every_option_of_transformers_works_or_is_refused():
    """An option that a later version of transformers adds is neither: it belongs to `WORKING` or to `REPLACED`."""
    options = {option.name for option in fields(TrainingArguments) if option.init}
    assert options - WORKING == REPLACED.keys()
    assert WORKING <= options


@pytest.mark.parametrize("name", REPLACED)
def test_an_option_without_effect_is_refused(name, tmp_path):
    default, instead = REPLACED[name]
    other = {bool: not default, int: 3, float: 0.5, str: "cosine", list: ["loss"]}.get(type(default), 3)
    with pytest.raises(ValueError, match=f"^{name}=.* has no effect in this recipe; {instead}$"):
        EomtTrainingArguments(str(tmp_path), **{name: other})
    assert EomtTrainingArguments(str(tmp_path), **{name: default}).output_dir == str(tmp_path)


def test_a_training_has_steps(tmp_path):
    for epochs in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^num_train_epochs={epochs} must be positive, such as 12; parts"):
            EomtTrainingArguments(str(tmp_path), num_train_epochs=epochs)
        for length in ({"max_steps": 3}, {"minutes": 1.0}):
            EomtTrainingArguments(str(tmp_path), num_train_epochs=epochs, **length)
    for steps in (0, -2):
        with pytest.raises(ValueError, match=f"^max_steps={steps} must be positive; leave it out, or give -1, for num_train_ep"):
            EomtTrainingArguments(str(tmp_path), max_steps=steps)
    assert EomtTrainingArguments(str(tmp_path), num_train_epochs=0.1, max_steps=-1).max_steps == -1


@pytest.mark.parametrize("name", LEAST)
def test_numbers_of_a_training_have_a_least_value(name, tmp_path):
    least, hint = LEAST[name]
    for wrong in (least - 1, float("nan")):
        with pytest.raises(ValueError) as caught:
            EomtTrainingArguments(str(tmp_path), **{name: wrong})
        assert str(caught.value) == f"{name}={wrong} must be at least {least}; {hint}"
    EomtTrainingArguments(str(tmp_path), **{name: least}, logging_strategy="no")


@pytest.mark.parametrize("name", LEAST_OF_DATA)
def test_numbers_of_the_data_have_a_least_value(name):
    least, hint = LEAST_OF_DATA[name]
    with pytest.raises(ValueError, match=f"^{name}={least - 1} must be at least {least}; {hint}$"):
        DataArguments("data", **{name: least - 1})
    DataArguments("data", **{name: least})


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("poly_power", (0.0, -1.0), "must be positive, such as 0.9"),
        ("seed", (1 << 32,), "must be less than 2.32"),
        ("adam_beta1", (-0.1, 1.0), "must be in .0, 1., such as 0.9"),
        ("adam_beta2", (-0.1, 1.0), "must be in .0, 1., such as 0.9"),
        ("minutes", (0.0, float("nan")), "must be positive, and with it"),
        ("save_minutes", (-1.0, float("nan")), "must be positive, or 0 for no checkpoints"),
        ("first_block_annealing", (0.0, float("nan")), "must be positive"),
    ],
)
def test_numbers_out_of_range_are_refused(name, values, message, tmp_path):
    for value in values:
        with pytest.raises(ValueError, match=f"^{name}={value} {message}"):
            EomtTrainingArguments(str(tmp_path), **{name: value})
