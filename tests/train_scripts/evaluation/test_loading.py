"""Checkpoints that are scored and predicted with: whole ones alone, masked as trained, with the right classes and processor."""

import shutil

import pytest
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForUniversalSegmentation

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.configuration import ladder_architecture
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.checkpoints import FINISHED, mark_whole, unmark
from eomt.train_scripts.evaluation.loading import check_classes, class_names, load_model, load_processor, stored_model
from eomt.train_scripts.evaluation.tasks import task_of


def test_eomt_is_masked_if_asked_whatever_is_stored(checkpoints):
    assert EomtForUniversalSegmentation.from_pretrained(checkpoints / "panoptic").attn_mask_probs.tolist() == [1.0]
    for masked in (None, False, True):
        model = load_model(str(checkpoints / "panoptic"), masked)
        assert model.attn_mask_probs.tolist() == [float(bool(masked))] and class_names(model) == scenes.LABELS.names


@pytest.fixture(params=["small", "dinov3_small", "eva02_large"])
def stored_row(request, tmp_path):
    """`stored_row(probs)`: a tiny row 3 on one of the encoders, stored with these masking probabilities."""

    def store(probs) -> str:
        sizes = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32)
        fields = ladder_architecture(request.param, 3).to_dict() | sizes | dict(decoder_width=32, decoder_layers=3, num_queries=4)
        model = AutoModelForUniversalSegmentation.from_config(AutoConfig.for_model(**fields))
        model.set_attn_mask_probs(probs)
        model.save_pretrained(tmp_path)
        return str(tmp_path)

    return store


@pytest.mark.parametrize(("probs", "masked"), [([1, 1, 1], True), ([1, 1, 0.5], False), ([0, 0, 0], False)])
def test_a_row_of_table_1_is_masked_as_it_was_trained_unless_asked_otherwise(stored_row, caplog, probs, masked):
    folder = stored_row(probs)
    for asked in (None, False, True):
        caplog.clear()
        chosen = masked if asked is None else asked
        assert load_model(folder, asked).attn_mask_probs.tolist() == [float(chosen)] * 3
        reason = "as it was trained to the end (--masked false: without)" if asked is None else "as asked for"
        assert caplog.messages == ([f"{folder}: with masked attention, {reason}"] if chosen else [])


def test_a_row_without_masking_probabilities_is_not_masked(stored_row):
    folder = stored_row([1, 1, 1])
    path = f"{folder}/model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if name != "attn_mask_probs"}, path, {"format": "pt"})
    assert not load_model(folder).attn_mask_probs.any()


def test_classes_that_differ_are_named():
    names = scenes.LABELS.names
    check_classes(names, tuple(names), "x")
    with pytest.raises(ValueError, match="their order differs, from index 0 on"):
        check_classes(names[::-1], names, "x")
    with pytest.raises(ValueError, match=r"it lacks \['bee'\] and has \['wasp'\] besides, from index 0 on"):
        check_classes(["wasp", *names[1:]], names, "x")
    with pytest.raises(ValueError, match="has 13 classes, the data 14 .* from index 13 on"):
        check_classes(names[:-1], names, "x")


def test_an_incomplete_checkpoint_is_not_scored_with_random_weights(checkpoints, tmp_path):
    model = EomtForUniversalSegmentation.from_pretrained(checkpoints / "panoptic")
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("class_predictor")}
    model.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(ValueError, match=r"lacks the weights \['class_predictor.bias', 'class_predictor.weight'\]"):
        load_model(str(tmp_path))


def test_a_processor_of_the_checkpoint_is_used(checkpoints, tmp_path):
    EomtImageProcessor(size={"shortest_edge": 32, "longest_edge": 32}).save_pretrained(tmp_path)
    assert load_processor(str(tmp_path), task_of("panoptic"), 64, Labels(["a"], [True])).size.shortest_edge == 32


def test_stuff_is_merged_with_a_processor_of_transformers_own(checkpoints, tmp_path):
    transformers.EomtImageProcessor().save_pretrained(tmp_path)
    labels = Labels(["bee", "sky", "sea"], [True, False, False])
    assert load_processor(str(tmp_path), task_of("panoptic"), 64, labels).stuff_classes == [1, 2]


def test_a_processor_of_stuff_alone_has_no_instances(checkpoints, tmp_path):
    labels = Labels(["sky", "sea"], [True, True])
    for stuff in ([0], [0, 1]):
        EomtImageProcessor(size={"shortest_edge": 32, "longest_edge": 32}, stuff_classes=stuff).save_pretrained(tmp_path)
        assert load_processor(str(tmp_path), task_of("panoptic"), 64, labels).stuff_classes == stuff
        if stuff == [0]:
            assert load_processor(str(tmp_path), task_of("instance"), 64, labels).stuff_classes == stuff
    with pytest.raises(ValueError, match="has no things, and task='instance' segments nothing else; choose another task"):
        load_processor(str(tmp_path), task_of("instance"), 64, labels)


def interrupted_run(checkpoints, folder, steps=(2, 10)):
    """A run's folder with whole checkpoints after some steps, and no finished model."""
    for step in steps:
        shutil.copytree(checkpoints / "panoptic", folder / f"checkpoint-{step}")
        mark_whole(folder / f"checkpoint-{step}")
    return folder


def test_of_an_interrupted_run_the_last_whole_checkpoint_is_taken_and_said(checkpoints, tmp_path, caplog):
    folder = interrupted_run(checkpoints, tmp_path)
    assert stored_model(folder) == str(folder / "checkpoint-10")
    assert caplog.messages == [f"{folder} is of a run that has not ended: its last whole checkpoint, checkpoint-10, is taken"]
    unmark(folder / "checkpoint-10")
    assert stored_model(folder) == str(folder / "checkpoint-2")


def test_of_a_finished_run_and_of_other_checkpoints_the_model_itself_is_taken(checkpoints, tmp_path, caplog):
    folder = interrupted_run(checkpoints, tmp_path)
    (folder / FINISHED).touch()
    for name in (str(folder), str(checkpoints / "panoptic"), "org/of-the-hub"):
        assert stored_model(name) == name
    assert not caplog.messages


def test_a_run_without_a_whole_checkpoint_can_not_be_taken(checkpoints, tmp_path):
    unmark(interrupted_run(checkpoints, tmp_path, [2]) / "checkpoint-2")
    with pytest.raises(ValueError, match="holds no model: it is of a run that has not stored a whole checkpoint"):
        stored_model(tmp_path)
