"""Annotations given to a training: prepared beside the run, taken again by it, and prepared anew when they have changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts import train
from eomt.train_scripts.data import preparation
from eomt.train_scripts.data.dataset_folder import count_rows, read_labels
from eomt.train_scripts.training import preparing
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.preparing import needs_preparation, with_prepared_data


def write_coco(folder: Path, count: int) -> None:
    """A dataset in COCO's layout: photos with a cat at the left and a dog at the right."""
    (folder / "train2017").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        Image.fromarray(np.full((40, 60, 3), 9 * number, np.uint8)).save(folder / "train2017" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 40, "width": 60})
        for category, left in ((1, 5), (2, 35)):
            polygon = [left, 5, left + 20, 5, left + 20, 30, left, 30]
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": category, "segmentation": [polygon]}
            annotations.append(annotation | {"iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))


@pytest.fixture
def coco(tmp_path) -> Path:
    write_coco(tmp_path / "raw", 12)
    return tmp_path / "raw"


@pytest.fixture
def prepared(tmp_path) -> Callable[..., Path]:
    """`prepared(data, **options)`: the folder that the run `run` takes as its data."""

    def make(data: Path | str, overwrite: bool = False, **options) -> Path:
        args = EomtTrainingArguments(output_dir=str(tmp_path / "run"), use_cpu=True, overwrite=overwrite)
        return Path(with_prepared_data(DataArguments(str(data), **options), args).data)

    return make


def test_two_commands_from_a_folder_to_a_model(coco, tiny_words, tmp_path, capsys):
    words = [*tiny_words, "--data", str(coco), "--task", "instance", "--max_steps", "2", "--output_dir", str(tmp_path / "run")]
    train.main(words)
    shown = capsys.readouterr().out
    data = tmp_path / "run_data"
    assert (
        f"data:     {coco} (coco_instances; train 11, val 1 images) is prepared as {data}; look at {data}/train_samples.png"
        in shown
    )
    assert count_rows(data, "val") == 1 and read_labels(data).names == ["cat", "dog"]
    results = json.loads((tmp_path / "run" / "all_results.json").read_text())
    assert "eval_ap" in results and not any("data" in path.name for path in (tmp_path / "run").iterdir())
    train.main(words)
    shown = capsys.readouterr().out
    assert f"data:     {data}, prepared from {coco} before" in shown and f"--data {data} --split val" in shown


@pytest.mark.parametrize("chosen", [None, "more"])
def test_the_only_split_is_trained_on_whatever_its_name(coco, tmp_path, chosen):
    """CVAT calls its only subset `default`. A split that was chosen stays."""
    (coco / "train2017").rename(coco / "default")
    (coco / "annotations/instances_train2017.json").rename(coco / "annotations/instances_default.json")
    args = EomtTrainingArguments(output_dir=str(tmp_path / "run"), use_cpu=True)
    options = {"train_split": chosen} if chosen else {}
    data_args = with_prepared_data(DataArguments(str(coco), **options), args)
    assert data_args.train_split == (chosen or "default")
    assert count_rows(data_args.data, "default") == 11 and count_rows(data_args.data, "val") == 1


def test_prepared_data_are_taken_as_they_are(few_scenes, prepared, tmp_path):
    assert prepared(few_scenes) == few_scenes and not (tmp_path / "run_data").exists()
    assert not needs_preparation("hf://datasets/org/name") and not needs_preparation("nowhere") and needs_preparation("org/name")
    with pytest.raises(ValueError, match="prepare='--void 255' has no effect: data=.* is prepared; leave it out"):
        prepared(few_scenes, prepare="--void 255")


def test_the_same_is_taken_again_and_what_has_changed_is_prepared_anew(coco, prepared, monkeypatch):
    data = prepared(coco)
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "prepare", None)
        assert prepared(coco) == data
    write_coco(coco, 14)
    assert count_rows(prepared(coco), "train") == 13
    assert count_rows(prepared(coco, prepare="--val_share .5"), "val") == 7
    assert read_labels(prepared(coco, prepare="--background grass")).names == ["cat", "dog", "grass"]
    assert not list(prepared(coco, eval_split="").glob("val-*"))


def test_the_data_of_a_run_are_replaced_only_if_it_is_overwritten(coco, prepared, tmp_path):
    data = prepared(coco)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(FileExistsError, match="from this data with the options '--bad_samples raise' and an eval_split; give --ov"):
        prepared(coco, prepare="--val_share .5")
    write_coco(coco, 14)
    with pytest.raises(
        FileExistsError, match="run_data was prepared from another state of its files; give --overwrite to prepare and"
    ):
        prepared(coco)
    assert count_rows(data, "train") == 11 and count_rows(prepared(coco, overwrite=True), "train") == 13


def test_an_interrupted_preparation_goes_on(coco, prepared, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_publish", None)
        with pytest.raises(TypeError):
            prepared(coco)
    written = []
    with monkeypatch.context() as patch:
        patch.setattr(preparation.SplitWriter, "write_shard", lambda *_: written.append(1))
        assert count_rows(prepared(coco), "train") == 11
    assert not written


def test_what_detection_leaves_open_is_given_by_prepare(ten_masks, prepared, capsys):
    with pytest.raises(ValueError, match="kind=None: say what the values") as caught:
        prepared(ten_masks)
    assert not list(ten_masks.parent.glob("run*"))
    assert caught.value.__notes__ == ['(a training takes options of prepare as --prepare "--name value")']
    words = "--kind semantic --classes sky,road --void 255"
    assert read_labels(prepared(ten_masks, prepare=words)).names == ["sky", "road"]
    assert count_rows(prepared(ten_masks / "images", prepare=f"--annotations {ten_masks}/masks {words}"), "train") == 9


@pytest.fixture
def ten_masks(tmp_path) -> Path:
    for number in range(10):
        for name, pixels in (("images", np.full((2, 4, 3), number)), ("masks", np.array([[0, 0, 1, 255]] * 2))):
            (tmp_path / "pairs" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pairs" / name / f"{number}.png")
    return tmp_path / "pairs"


def test_a_zip_file(coco, prepared, tmp_path):
    shutil.make_archive(str(tmp_path / "export"), "zip", coco)
    assert count_rows(prepared(tmp_path / "export.zip"), "train") == 11
    assert {path.name for path in tmp_path.iterdir()} == {"export.zip", "raw", "run_data"}
    assert prepared(tmp_path / "export.zip") == tmp_path / "run_data"


def test_bad_images_are_left_out_by_the_trainings_option(coco, prepared):
    (coco / "train2017" / "3.png").write_bytes(b"")
    with pytest.raises(ValueError, match="3.png"):
        prepared(coco)
    assert count_rows(prepared(coco, bad_samples="skip"), "train") == 10


@pytest.mark.parametrize("words", ["--val_share=.5", "--val-share .5", "--val-share=.5"])
def test_an_option_has_its_effect_in_any_spelling(coco, prepared, words):
    assert count_rows(prepared(coco, prepare=words), "val") == 6


@pytest.mark.parametrize("words", ["--bad_samples=skip", "--bad-samples skip"])
def test_bad_images_are_left_out_by_the_option_of_prepare_first(coco, prepared, words):
    (coco / "train2017" / "3.png").write_bytes(b"")
    assert count_rows(prepared(coco, prepare=words), "train") == 10


def test_a_file_that_an_option_names_belongs_to_what_the_data_are_made_from(ten_masks, prepared, tmp_path):
    words = f"--kind=semantic --void=255 --annotations={ten_masks}/masks --classes={tmp_path}/classes.txt"
    for names in (["sky", "road"], ["sky", "street"]):
        (tmp_path / "classes.txt").write_text("\n".join(names))
        assert read_labels(prepared(ten_masks / "images", prepare=words)).names == names


def test_a_value_may_begin_with_a_dash(ten_masks, prepared):
    for path in (ten_masks / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}-mask"))
    words = "--kind semantic --classes sky,road --void 255 --mask-suffix=-mask --val-share=.5"
    assert count_rows(prepared(ten_masks, prepare=words), "val") == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prepare": "--out x"}, r"prepare has \['--out'\], but data=.* is what is read; leave it out"),
        ({"prepare": "--source=x"}, r"prepare has \['--source'\], but data=.* is what is read; leave it out"),
        ({"prepare": "--clases a"}, "unknown option --clases; did you mean --classes"),
        ({"prepare": "--classes 'a"}, "can't be read .No closing quotation.; write it like '--classes sky,road'"),
    ],
)
def test_wrong_options(coco, prepared, options, message):
    with pytest.raises(ValueError, match=message):
        prepared(coco, **options)


def test_a_folder_of_someone_elses_is_left_alone(coco, prepared, tmp_path):
    (tmp_path / "run_data").mkdir()
    (tmp_path / "run_data" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="run_data, for the prepared data, holds something else; choose another output_dir"):
        prepared(coco)
    assert [path.name for path in (tmp_path / "run_data").iterdir()] == ["notes.txt"]


def test_a_folder_without_a_known_layout(prepared, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no layout known here"):
        prepared(tmp_path / "empty")
    assert not (tmp_path / "run_data").exists()


def test_prepare_of_the_command_line(coco, tiny_run, tmp_path):
    words = ["--data", str(coco), "--task", "semantic", "--eval_split", "", "--output_dir", str(tmp_path / "run")]
    trainer = tiny_run(*words, "--prepare", "--background grass")
    assert list(trainer.model.config.id2label.values()) == ["cat", "dog", "grass"]
