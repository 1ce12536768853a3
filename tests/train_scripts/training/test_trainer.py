"""How the parts of a run are tied to transformers' Trainer."""

from transformers import Trainer

from eomt.train_scripts.training.trainer import EomtTrainer


def test_private_methods_of_trainer_are_overridden_only_where_no_hook_does_the_same():
    """Each costs attention with every release of transformers, and has its reason in its docstring."""
    private = {name for name in vars(EomtTrainer) if name.startswith("_") and not name.startswith("__") and hasattr(Trainer, name)}
    assert private == {"_get_grad_norm", "_push_from_checkpoint", "_load_from_checkpoint", "_load_best_model"}
    assert all(getattr(EomtTrainer, name).__doc__.startswith("Overridden ") for name in private)


def test_callbacks_come_after_those_that_they_rely_on(tiny_run):
    callbacks = [type(one).__name__ for one in tiny_run("--eval_split", "", "--ema_decay", "0.9").callback_handler.callbacks]
    assert callbacks[0] == "CheckpointSaver"  # whatever reports a checkpoint finds it complete
    wanted = ["DefaultFlowCallback", "TrainingProgress", "LogsEndWithCheckpoints"]  # who decides when to save, and who follows
    assert [name for name in callbacks if name in wanted] == wanted
    assert callbacks[-1] == "OverlayCallback"  # draws when all else is done


def test_options_are_left_as_they_were_given(tiny_run):
    trainer = tiny_run("--eval_split", "", "--save_total_limit", "3")
    assert trainer.args is not trainer.description.args
    assert (trainer.args.save_total_limit, trainer.description.args.save_total_limit, trainer.saver.limit) == (None, 3, 3)
