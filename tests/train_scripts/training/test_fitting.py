"""Options that follow from the data."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from transformers import Dinov2Config, Dinov2WithRegistersConfig, DINOv3ViTConfig

from eomt import EomtConfig
from eomt.train_scripts import train
from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.split_report import SplitReport
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.fitting import facts_of_data, parse_fitted
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import given_options, parse_arguments

CLASSES = ModelArguments, DataArguments, EomtTrainingArguments


@pytest.fixture
def chosen(tmp_path):
    """`chosen(report, *words)`: {option: value} that follow, of a dataset with this report."""

    def choose(report: SplitReport, *words: str, classes: int = 2) -> dict:
        (tmp_path / "labels.json").unlink(missing_ok=True)
        write_labels(tmp_path, Labels([f"class {index}" for index in range(classes)], [True] + [False] * (classes - 1)))
        report.save(tmp_path / "train_report.json")
        parsed = parse_arguments(CLASSES, ["--data", str(tmp_path), "--output_dir", str(tmp_path / "run"), *words])
        facts = facts_of_data(*parsed, given_options(words))
        return {name: value for fact in facts for name, value in fact.options.items()}

    return choose


@pytest.fixture
def fitted(chosen, tmp_path):
    """`fitted(images, *words)`: the options of data and training that a recipe has for so many small squares."""

    def fit(images: int, *words: str) -> tuple[DataArguments, EomtTrainingArguments]:
        chosen(report_of(images, "300 x 300"))
        argv = ["--data", str(tmp_path), "--output_dir", str(tmp_path / "run"), *words]
        return parse_fitted(CLASSES, argv, parse_arguments(CLASSES, argv))[1:]

    return fit


def report_of(images: int, size: str = "480 x 360", sides: dict[str, int] | None = None) -> SplitReport:
    return SplitReport(images=images, sizes=Counter({size: images}), class_sides=Counter(sides or {}))


def test_few_photos_are_trained_on_unmasked_in_small_batches_at_the_scale_of_scoring(chosen):
    options = chosen(report_of(367), "--task", "semantic", "--image_size", "560", "--timm_model", "vit", "--num_train_epochs", "5")
    assert "num_train_epochs" not in options  # it was given
    assert (options["masking"], options["frozen_blocks"]) == ("never", 4)
    assert (options["total_batch_size"], options["per_device_train_batch_size"]) == (2, 2)
    assert (options["min_scale"], options["max_scale"], options["start_image_size"]) == (1.28, 1.5, 400)
    assert json.loads(options["config"]) == {"num_blocks": 2, "num_queries": 50}
    upright = chosen(report_of(367, "300 x 300"), "--task", "semantic", "--image_size", "320")
    assert (upright["min_scale"], upright["max_scale"], upright["num_train_epochs"]) == (0.96, 1.12, 17)
    assert not upright.keys() & {"frozen_blocks", "start_image_size"}  # random weights, and a small input


def test_queries_suffice_for_the_classes_of_an_image(chosen):
    for classes, most, queries in ((150, 40, 80), (150, 10, 50), (30, 500, 60)):  # segments of a class become one
        report = report_of(100)
        report.most_segments = most
        config = chosen(report, "--task", "semantic", classes=classes)["config"]
        assert json.loads(config)["num_queries"] == queries


def test_what_is_given_stays(chosen):
    words = ["--task", "semantic", "--masking", "annealed", "--min_scale=0.5", "--total_batch_size", "8"]
    options = chosen(report_of(100), *words, "--config", '{"num_queries": 7}', "--minutes", "3")
    assert not options.keys() & {
        "masking",
        "min_scale",
        "total_batch_size",
        "per_device_train_batch_size",
        "config",
        "num_train_epochs",
    }
    assert options["max_scale"] == 1.5 and options["learning_rate"] == 1e-4
    assert "masking" not in chosen(report_of(100), "--task", "semantic", "--first_block_annealing", "0.1")
    kept = chosen(report_of(100), "--task", "semantic", "--timm_model", "vit", "--config", "{}", "--frozen_blocks", "0")
    assert not kept.keys() & {"config", "frozen_blocks"}


def test_what_is_given_decides_the_rest(chosen):
    report, semantic = report_of(100, "300 x 300"), ["--task", "semantic"]
    for words, batch in ((["--total_batch_size", "16"], 16), (["--per_device_train_batch_size", "4"], 4), ([], 2)):
        options = chosen(report, *semantic, *words)
        assert options["num_train_epochs"] == 30 * batch and options.get("total_batch_size", batch) == batch  # 3,000 steps
    assert chosen(report, *semantic, "--learning_rate", "1e-5")["head_learning_rate"] == 2e-5
    adapters = chosen(report, *semantic, "--learning_rate", "1e-3", "--timm_model", "vit", "--lora")
    assert adapters["head_learning_rate"] == 2e-4  # of heads, whatever adapters take
    assert "masking" not in chosen(report, *semantic, "--pilot_queries", "5")
    assert chosen(report, *semantic, "--max_scale", "0.5")["min_scale"] == 0.5
    assert chosen(report, *semantic, "--min_scale", "1.5")["max_scale"] == 1.5
    assert chosen(report, *semantic, "--max_scale", "2")["min_scale"] == 0.96
    small = report_of(5000, sides={"0 20": 40})
    assert chosen(small, "--task", "instance", "--max_scale", "1.5")["min_scale"] == 1.5
    declined = chosen(small, "--task", "instance", "--tiles", "0")
    assert "tiles" not in declined and declined["min_scale"] == 1.88


def test_options_go_together_when_the_data_have_decided(fitted, monkeypatch):
    """Defaults that don't go with a given option, or with the processes, are replaced for few images, and an error for many."""
    of_three = ["--recipe", "semantic", "--per_device_train_batch_size", "3"]
    assert fitted(100, *of_three)[1].total_batch_size == 3
    with pytest.raises(ValueError, match="total_batch_size=16 must be a multiple of per_device_train_batch_size=3 x 1"):
        fitted(5000, *of_three)
    enlarged = ["--recipe", "instance", "--min_scale", "3"]
    assert fitted(100, *enlarged)[0].max_scale == 3
    with pytest.raises(ValueError, match="min_scale=3.0, max_scale=2.0: need"):
        fitted(5000, *enlarged)
    monkeypatch.setattr(EomtTrainingArguments, "world_size", 3)
    assert fitted(100, "--recipe", "semantic")[1].total_batch_size == 3
    with pytest.raises(ValueError, match="total_batch_size=16 must be a multiple of 3 processes; use 15$"):
        fitted(5000, "--recipe", "semantic")


def test_options_that_the_data_do_not_decide_are_checked_before_these_are_prepared(fitted, monkeypatch):
    monkeypatch.setattr("eomt.train_scripts.training.fitting.with_prepared_data", None)
    with pytest.raises(ValueError, match="total_batch_size=8 must be a multiple of per_device_train_batch_size=3"):
        fitted(100, "--recipe", "semantic", "--per_device_train_batch_size", "3", "--total_batch_size", "8")
    with pytest.raises(ValueError, match="min_scale=3.0, max_scale=2.0: need"):
        fitted(100, "--recipe", "instance", "--min_scale", "3", "--max_scale", "2")
    with pytest.raises(ValueError, match="min_scale=-1.0, max_scale=2.0: need"):
        fitted(100, "--recipe", "instance", "--min_scale=-1")


def test_smaller_crops_are_on_the_models_grid(chosen, tmp_path):
    EomtConfig(image_size=518, patch_size=14).save_pretrained(tmp_path / "of_14")
    words = ["--task", "semantic", "--image_size"]
    row_0 = ["--config", '{"model_type": "eomt_ladder", "row": 0}']
    assert chosen(report_of(100), *words, "512")["start_image_size"] == 368
    assert chosen(report_of(100), *words, "512", *row_0)["start_image_size"] == 352
    assert chosen(report_of(100), *words, "518", "--checkpoint", str(tmp_path / "of_14"))["start_image_size"] == 364
    assert chosen(report_of(100), *words, "512", "--config", '{"patch_size": [16, 32]}')["start_image_size"] == 352
    assert "start_image_size" not in chosen(report_of(100), *words, "512", "--start_image_size", "0")
    assert "start_image_size" in chosen(report_of(100), *words, "512", "--start_share", "0.3", "--fit_to_data", "true")


def test_a_checkpoint_with_queries_keeps_them_and_an_encoder_is_like_one_of_timm(chosen, tmp_path):
    EomtConfig().save_pretrained(tmp_path / "eomt")
    encoders = {"dinov3": DINOv3ViTConfig(), "dinov2": Dinov2Config(), "registers": Dinov2WithRegistersConfig()}
    for name, config in encoders.items():
        config.save_pretrained(tmp_path / name)
    words = ["--task", "semantic", "--checkpoint"]
    assert not chosen(report_of(100), *words, str(tmp_path / "eomt")).keys() & {"config", "frozen_blocks"}
    of_timm = chosen(report_of(100), "--task", "semantic", "--timm_model", "vit")
    assert of_timm["frozen_blocks"] == 4
    assert all(chosen(report_of(100), *words, str(tmp_path / name)) == of_timm for name in encoders)
    with pytest.raises(OSError, match="checkpoint='org/name' is no folder with a model"):
        chosen(report_of(100), *words, "org/name")


def test_small_objects_are_enlarged_and_others_are_not(chosen):
    """At 320 pixels, 5 % of the long side are 4 cells of a mask, and 15 % are 12."""
    words = ["--task", "instance", "--image_size", "320"]
    small = {"0 20": 10, "0 50": 20, "0 80": 10, "1 900": 50}  # of class 1, which is stuff, sizes don't count
    assert (options := chosen(report_of(5000, sides=small), *words)) == {"min_scale": 1.5, "max_scale": 2.5, "tiles": 2.0}, options
    large = {name.replace("50", "150"): count for name, count in small.items()}
    assert chosen(report_of(5000, sides={"0 150": 40}), *words) == {}
    assert (chosen(report_of(50, sides=large), *words)["max_scale"]) == 1.4
    assert "tiles" not in str(chosen(report_of(5000, sides=small), "--task", "panoptic", "--image_size", "320"))
    assert chosen(report_of(5000, sides={"0 2": 1}), *words)["max_scale"] == 7.5  # of a scale of 6, the largest


def test_few_images_of_instances_are_pasted_over(chosen):
    report = report_of(50, sides={"0 150": 40})
    assert chosen(report, "--task", "instance")["copy_paste"] == 0.5
    assert "copy_paste" not in chosen(report, "--task", "instance", "--copy_paste", "0")
    for words in (["--task", "instance", "--augment", "false"], ["--task", "panoptic"], ["--task", "semantic"]):
        assert "copy_paste" not in chosen(report, *words)
    assert "copy_paste" not in chosen(report_of(1000, sides={"0 150": 40}), "--task", "instance")


def test_many_images_and_data_without_a_report_keep_the_recipe(chosen, few_scenes, tmp_path):
    assert chosen(report_of(1000), "--task", "semantic") == {}
    for data in (str(few_scenes), "hf://datasets/org/name"):
        parsed = parse_arguments(CLASSES, ["--data", data, "--output_dir", str(tmp_path)])
        assert facts_of_data(*parsed, set()) == []


def test_a_recipe_trains_as_it_says(tiny_words, tmp_path, capsys):
    folder = tmp_path / "raw"
    for name in ("photos", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        pixels = np.full((40, 60), number % 2, np.uint8)  # half dark, half bright
        pixels[:, 30:] = 1 - number % 2
        Image.fromarray(pixels).save(folder / "masks" / f"{number}.png")
        Image.fromarray(255 * pixels).convert("RGB").save(folder / "photos" / f"{number}.png")
    (folder / "classes.txt").write_text("dark\nbright\n")
    words = [*tiny_words, "--recipe", "semantic", "--data", str(folder), "--output_dir", str(tmp_path / "run")]
    words += ["--prepare", "--classes 0:dark,1:bright", "--max_steps", "2", "--masking", "annealed", "--save_strategy", "best"]
    trainer = train.run(words)
    shown = capsys.readouterr().out
    assert shown.count("is prepared as") == 1 and "fitted to:   11 images, which are few: learning_rate 0.0001" in shown
    assert "min_scale 1.44, max_scale 1.69" in shown and "masking never" not in shown
    assert trainer.args.head_learning_rate == 2e-4 and trainer.args.masking == "annealed"
    crop = trainer.train_dataset.augmentation.transforms[-1]
    assert (crop.min_scale, crop.max_scale) == (1.44, 1.69)
    assert train.run(words) is None and "holds this run, finished" in capsys.readouterr().out  # the same data, the same options
