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
