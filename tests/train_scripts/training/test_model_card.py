"""The card of a run: valid metadata, a recipe that runs, and nothing in it that belongs to a machine or an account."""

import json
import re
import socket
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.training import model_card
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.model_card import RunDescription, describe_start, write_model_card
from eomt.train_scripts.training.recipe import parse_arguments

LABELS = Labels(["bee", "sky", "moss"], [True, False, False])
LOG = [
    {"step": 0, "eval_pq": 1.0, "eval_runtime": 2.0},
    {"step": 10, "loss": 12.0, "loss_mask": 5.0, "loss_dice": 4.0, "loss_cross_entropy": 3.0, "learning_rate": 1e-4},
    {"step": 10, "eval_pq": 40.0, "eval_pq_things": 30.0},
    {
        "step": 20,
        "eval_pq": 51.2345,
        "eval_pq_things": 31.0,
        "eval_ap_large": -1.0,
        "eval_runtime": 3.0,
        "eval_samples_per_second": 9.0,
    },
    {"step": 20, "train_runtime": 90.0, "train_loss": 11.0},
]
TOKEN = "hf_" + "NeverInACard"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """`written(*words, **fields)`: the card of a run with these options, its text, and the options."""
    monkeypatch.setattr(model_card, "count_rows", lambda folder, split: {"train": 700, "val": 50}[split])

    def write(*words: str, log: list[dict] = LOG, best: str | None = None, recorded: bool = True, resumed: bool = False, **fields):
        out = tmp_path / "home" / "alice" / "bees-small"
        out.mkdir(parents=True, exist_ok=True)
        state = {"global_step": 20, "log_history": log, "best_model_checkpoint": best}
        (out / "trainer_state.json").write_text(json.dumps(state))
        words = ["--data", str(tmp_path / "disk7" / "meadow"), "--output_dir", str(out), "--hub_token", TOKEN, *words]
        model_args, data_args, args = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), words)
        options = dict(args=args, model_args=model_args, data_args=data_args)
        described = dict(resumed=resumed, model_type=fields.pop("model_type", "eomt"))
        run = RunDescription(LABELS, "panoptic", **(options if recorded else {"args": args}), **described)
        path = write_model_card(out, run, license=args.license, **fields)
        return ModelCard.load(path), path.read_text(), options

    return write


def test_the_metadata_survive_a_round_trip_and_hold_the_last_scores(written):
    card, _, _ = written("--timm_model", "vit_small_patch14_reg4_dinov2", "--license", "apache-2.0", tags="bees")
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "image-segmentation")
    assert data.base_model == "timm/vit_small_patch14_reg4_dinov2.lvd142m"
    assert data.tags == ["eomt", "panoptic-segmentation", "bees"]
    assert data.model_name == "bees-small"
    scores = {(r.metric_type, r.metric_name, r.metric_value, r.dataset_name, r.dataset_split) for r in data.eval_results}
    assert scores == {("pq", "PQ", 51.23, "meadow", "val"), ("pq_things", "PQ things", 31.0, "meadow", "val")}


@pytest.mark.parametrize(("model_type", "alone"), [("eomt", True), ("eomt_dinov3", True), ("eomt_eva02", False)])
def test_it_says_whether_transformers_alone_reads_the_model(written, model_type, alone):
    _, text, _ = written(model_type=model_type)
    assert ("With transformers alone" in text) == ("in the format of transformers' own EoMT" in text) == alone
    assert (f"doesn't know this architecture (`{model_type}`)" in text) == (not alone)
    blocks = re.findall("```python\n(.*?)```", text, re.S)
    assert len(blocks) == 1 + alone and ("import eomt" in blocks[0]) == (not alone)


def test_it_tells_data_recipe_hardware_and_scores(written):
    _, text, _ = written("--max_steps", "20", "--total_batch_size", "8")
    for line in (
        "| PQ | 1.0 | 51.2 |",
        "| training | train | 700 |",
        "| evaluation | val | 50 |",
        "Things (1): bee.",
        "Stuff (2): sky, moss.",
    ):
        assert line in text
    assert (
        "Started from random weights. 20 steps of 8 images (160 images) in 1.5 minutes, evaluations included, on 1 process ("
        in text
    )
    assert "Not stated by who trained it." in text and "![Loss terms" in text and "picture.png" not in text


def test_it_says_what_ap_without_a_limit_is(written):
    scores = {"eval_ap": 40.0, "eval_ap_all": 55.0}
    _, text, _ = written(log=[{"step": 20, **scores}, LOG[-1]])
    assert "| AP all | 55.0 |" in text and "AP is of the 100 best instances of an image, AP all of all that are found." in text
    assert "AP all" not in written(log=[{"step": 20, "eval_ap": 40.0}, LOG[-1]])[1]


def test_a_resumed_run_tells_no_duration_since_it_timed_its_last_part_alone(written):
    _, text, _ = written(resumed=True)
    assert "images), on 1 process (" in text and "minutes" not in text


@pytest.mark.parametrize(("load", "best"), [("true", "checkpoint-10"), ("true", None), ("false", "checkpoint-10")])
def test_it_tells_that_the_scored_images_chose_the_model(written, load, best):
    words = ["--eval_strategy", "steps", "--save_strategy", "steps", "--load_best_model_at_end", load]
    _, text, _ = written(*words, best=best)
    told = "at the images' own size. The model is the checkpoint of the run that scored best on these same images" in text
    assert told == (load == "true" and best is not None)


def test_its_recipe_makes_the_same_options_again(written, tmp_path):
    words = ["--config", '{"num_queries": 50}', "--minutes", "3", "--masking", "never", "--color_jitter", "true", "--bf16", "true"]
    _, text, options = written(*words, "--eval_strategy", "steps", "--eval_steps", "5", "--learning_rate", "2e-4")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    again = parse_arguments(
        (ModelArguments, DataArguments, EomtTrainingArguments), ["--recipe", str(recipe), "--data", "x", "--output_dir", "y"]
    )
    same = {"config_fields", "minutes", "masking", "color_jitter", "bf16", "eval_strategy", "eval_steps", "learning_rate"}
    for mine, theirs in zip((options["model_args"], options["data_args"], options["args"]), again, strict=True):
        named = same & vars(mine).keys()
        assert named and {n: vars(mine)[n] for n in named} == {n: vars(theirs)[n] for n in named}


def test_its_recipe_has_no_deprecated_mirror_of_an_option(written):
    _, text, _ = written("--activation_checkpointing", "true")
    assert "activation_checkpointing: true" in text and "gradient_checkpointing" not in text


def test_it_names_no_path_no_host_and_no_account(written, tmp_path):
    words = ["--checkpoint", str(tmp_path), "--hub_model_id", "alice/private", "--push_to_hub", "true"]
    words += ["--run_name", f"{socket.gethostname()}-7"]
    card, text, _ = written(*words, "--optim_args", "state=/scratch/alice/state")
    for word in (str(tmp_path), "alice", "disk7", "scratch", socket.gethostname(), TOKEN):
        assert word not in text
    assert card.data.base_model is None and "a checkpoint on disk" in text


def test_pictures_and_scores_only_where_there_are_some(written, tmp_path):
    out = tmp_path / "home" / "alice" / "bees-small"
    out.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(out / "picture.png")
    card, text, _ = written(log=[], recorded=False)
    assert "(picture.png)" in text and "Not evaluated." in text and "curves.png" not in text and "not recorded" in text
    assert card.data.eval_results is None


@pytest.mark.parametrize(
    "start, hub_name",
    [
        ({"checkpoint": "tue-mps/coco_panoptic_eomt_large_640"}, "tue-mps/coco_panoptic_eomt_large_640"),
        ({"checkpoint": "../runs/first"}, None),
        ({"timm_model": "vit_base_patch14_reg4_dinov2"}, "timm/vit_base_patch14_reg4_dinov2.lvd142m"),
        ({"timm_model": "weights.safetensors"}, None),
        ({}, None),
    ],
)
def test_only_hub_names_become_the_base_model(start, hub_name):
    words, found = describe_start(ModelArguments(**start))
    assert found == hub_name and ("runs" not in words and "weights.safetensors" not in words)


# The card's words for transformers alone, in a process without this package.
STOCK = """
import re, sys
from pathlib import Path
folder = Path(sys.argv[1])
text = (folder / "README.md").read_text().replace("path/to/" + folder.name, str(folder))
exec(re.findall("```python\\n(.*?)```", text, re.S)[0])
assert "eomt" not in sys.modules and type(model).__module__ == "transformers.models.eomt.modeling_eomt"
classes = result if torch.is_tensor(result) else result["segmentation"]
assert classes.shape == (image.height, image.width)
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_the_way_to_load_it_with_transformers_alone_works_for_every_task(tiny_run, tmp_path, task):
    tiny_run("--task", task)
    Image.effect_noise((90, 61), 80).convert("RGB").save(tmp_path / "photo.jpg")
    done = subprocess.run([sys.executable, "-c", STOCK, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
