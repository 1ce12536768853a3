"""The parts that a trainer is given are those of one run."""

from eomt.train_scripts.training.composition import order_of


def test_parts_share_the_clock_the_record_and_the_averages(tiny_run):
    trainer = tiny_run("--ema_decay", "0.9", "--masking", "never")
    for part in (trainer.saver, trainer.finished_mark):
        assert part.progress is trainer.progress and part.record is trainer.record and part.skipped is trainer.skipped
    assert trainer.resumption.record is trainer.record
    assert trainer.masking.progress is trainer.progress is trainer.validation.overlays.progress
    assert trainer.saver.average is trainer.finished_model.average is trainer.average
    assert trainer.validation.skipped is trainer.skipped
    assert not trainer.model.supervises_blocks and not trainer.pretrained


def test_without_averages_no_part_has_any(tiny_run):
    trainer = tiny_run("--eval_split", "")
    assert trainer.average is trainer.saver.average is trainer.finished_model.average is None


def test_the_order_of_the_data_depends_on_who_shares_it_and_on_what_a_step_takes(tiny_run):
    trainer = tiny_run("--eval_split", "", "--per_device_train_batch_size", "2", "--seed", "5")
    order = order_of(trainer.args, trainer.train_dataset)
    assert order == trainer.record.order
    digest = order.pop("data_digest")
    assert digest and order == {
        "num_processes": 1,
        "dataloader_num_workers": 0,
        "per_device_train_batch_size": 2,
        "total_batch_size": 4,
        "seed": 5,
        "shuffle_buffer": 8,
    }


def test_without_images_to_score_on_a_recipe_that_keeps_the_best_model_keeps_the_last(tiny_run, tmp_path):
    """As `prepare` suggests it for data of one split."""
    words = ["--eval_strategy", "steps", "--eval_steps", "0.5", "--save_strategy", "best", "--load_best_model_at_end", "true"]
    trainer = tiny_run("--eval_split", "", *words, "--max_steps", "2")
    assert trainer.state.global_step == 2 and (tmp_path / "model.safetensors").is_file()
    assert not any("eval_pq" in entry for entry in trainer.state.log_history)
