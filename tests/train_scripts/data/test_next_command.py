"""The next command: of the task that the classes are made for, with the splits that there are, and quoted for a shell."""

import shlex

import pytest

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.next_command import next_line, predict_words, train_words


@pytest.mark.parametrize(
    ("isthing", "recipe"), [([False, False], "semantic"), ([True, True], "instance"), ([True, False], "panoptic")]
)
def test_the_recipe_follows_from_the_classes(isthing, recipe):
    words = train_words("data/street", Labels(["a", "b"], isthing), ["train", "val"])
    assert words[:3] == ("train", "--recipe", recipe) and words[-2:] == ("--output_dir", "outputs/street")


def test_splits_of_other_names_are_named():
    labels = Labels(["a"], [True])
    assert train_words("d", labels, ["train"])[-2:] == ("--eval_split", "")
    assert train_words("d", labels, ["train2017", "val2017"])[-4:] == ("--train_split", "train2017", "--eval_split", "val2017")


def test_lines_can_be_pasted_into_a_shell():
    line = next_line(predict_words("my models/a", "semantic"), ("prepare", "--help"))
    first, second = line.splitlines()
    assert shlex.split(first)[:4] == ["next:", "eomt", "predict", "--checkpoint"] and "my models/a" in shlex.split(first)
    assert second.split() == ["eomt", "prepare", "--help"]
