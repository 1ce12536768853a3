"""A checkpoint's class head under the classes of a dataset."""

import pytest
import torch

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.training.building import build_model
from eomt.train_scripts.training.class_head import fit_class_head
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments

STORED = [f"class {index}" for index in range(5)]


@pytest.fixture
def loaded(tiny_model, tmp_path):
    """`loaded(names, **fields)`: the checkpoint's model, and what a run on a dataset of these classes starts from."""

    def load(names, **fields):
        model = tiny_model(**fields)
        model.save_pretrained(tmp_path / "checkpoint")
        start = ModelArguments(checkpoint=str(tmp_path / "checkpoint"))
        return model, build_model(start, DataArguments("d", image_size=64), Labels(names, [True] * len(names)))

    return load


def others_equal(model, new):
    return all(
        torch.equal(tensor, new.state_dict()[name])
        for name, tensor in model.state_dict().items()
        if not name.startswith(("class_predictor", "criterion"))
    )


def test_the_same_classes_keep_the_head_without_a_word(loaded, caplog):
    model, new = loaded(STORED)
    assert torch.equal(new.class_predictor.weight, model.class_predictor.weight) and not caplog.messages
    assert others_equal(model, new)


def test_the_same_classes_in_another_order_take_their_rows_along(loaded, caplog):
    order = [3, 0, 4, 1, 2]
    model, new = loaded([STORED[index] for index in order])
    pixel_values = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        logits, expected = (one.eval()(pixel_values).class_queries_logits for one in (new, model))
    torch.testing.assert_close(logits, expected[..., [*order, 5]])
    assert new.config.id2label[0] == "class 3" and "put in order" in caplog.text and others_equal(model, new)


@pytest.mark.parametrize("names", [["cat", *STORED[1:]], ["cat", "dog"], [*STORED, "cat"]], ids=["same number", "fewer", "more"])
def test_other_classes_get_a_new_head_and_its_weights(loaded, names, caplog):
    model, new = loaded(names, no_object_weight=0.3)
    head = new.class_predictor
    assert head.weight.shape == (len(names) + 1, 64) and not head.bias.any() and head.weight.requires_grad
    rows = min(len(head.weight), len(model.class_predictor.weight))
    assert not torch.isclose(head.weight[:rows], model.class_predictor.weight[:rows]).all(1).any()
    assert new.criterion.empty_weight.tolist() == pytest.approx([1.0] * len(names) + [0.3])
    assert new.config.num_labels == len(names) and list(new.config.label2id) == names
    assert f"new, since the data has other classes ({len(names)}: {names[0]}" in caplog.text and others_equal(model, new)


def test_a_name_that_is_there_twice_says_nothing_about_order(loaded, caplog):
    model, _ = loaded(STORED)
    model.config.id2label = dict(enumerate(["a", "a", "b", "c", "d"]))
    fit_class_head(model, ["a", "b", "a", "c", "d"])
    assert "class head: new" in caplog.text and not model.class_predictor.bias.any()


def test_a_checkpoint_in_half_precision_trains_in_float32(tiny_model, tmp_path):
    tiny_model().half().save_pretrained(tmp_path)
    model = build_model(ModelArguments(checkpoint=str(tmp_path)), DataArguments("d", image_size=64), Labels(STORED, [True] * 5))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
