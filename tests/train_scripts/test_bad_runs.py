"""Bad input to a training run: an error that names it, and no model written, whole or half."""

import json

import numpy as np
import pytest
from datasets import Dataset

from eomt.train_scripts import train
from eomt.train_scripts.data.dataset_folder import FEATURES
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.samples import decode_id_map
from eomt.train_scripts.data.scenes import make_row, write_scenes

CONFIG = '{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_blocks": 1, "train_num_points": 16}'


@pytest.fixture
def scenes(tmp_path):
    write_scenes(tmp_path / "scenes", train=4, val=1)
    return tmp_path / "scenes"


def spoil(scenes, change):
    """Rewrites the training shard with rows changed by `change`, which gets and returns one."""
    rows = [{**change(make_row(0, "train", index)), "rles": None} for index in range(4)]
    Dataset.from_list(rows, features=FEATURES).to_parquet(scenes / "train-00000-of-00001.parquet")


def cut_image(row):
    return {**row, "image": {"bytes": row["image"]["bytes"][:300], "path": None}}


def map_of_another_size(row):
    other = make_row(1, "train", 0)["id_map"]["bytes"]
    return {**row, "id_map": {"bytes": other[:16] + (50).to_bytes(4, "big") + other[20:], "path": None}}


def lost_segment(row):
    return {**row, "segments": row["segments"][1:]}


def unknown_category(row):
    return {**row, "segments": [{**segment, "category": 99} for segment in row["segments"]]}


ROWS = {
    "truncated image": (cut_image, r"scenes, split train: image_id 'train-0000\d': image"),
    "id map that can't be read": (map_of_another_size, r"image_id 'train-0000\d': id_map"),
    "id that the table lacks": (lost_segment, r"image_id 'train-0000\d': id_map has the ids \[1\]"),
    "unknown category": (unknown_category, r"categories \[99\]; allowed are 0\.\.13"),
}
OPTIONS = {
    "missing folder": (["--data", "nowhere"], ValueError, "data='nowhere' does not exist"),
    "missing split": (["--train_split", "training"], ValueError, r"split 'training' is not in .*\['train', 'val'\]"),
    "missing weights": (["--timm_model", "gone.safetensors"], FileNotFoundError, "^timm_model='gone.safetensors': there is"),
    "unknown ViT": (["--timm_model", "vit_smal_dinov2"], ValueError, "^timm_model='vit_smal_dinov2' is no model of timm"),
    "weights not here": (["--timm_model", "vit_tiny_patch16_224"], ConnectionError, "^timm_model='vit_tiny_patch16_224': timm's"),
    "unknown recipe": (["--recipe", "semantics"], FileNotFoundError, "recipe 'semantics' does not exist; did you mean semantic[?]"),
    "missing checkpoint": (["--checkpoint", "gone"], OSError, "gone"),
    "size off the patch grid": (["--image_size", "100"], Exception, "16, to which .* are resampled; use 96 or 112"),
    "unknown task": (["--task", "depth"], ValueError, "task='depth' is unknown; choose one of semantic, instance"),
    "missing checkpoint to resume": (["--resume_from_checkpoint", "x"], ValueError, "resume_from_checkpoint='x': no such folder"),
    "unknown masking": (["--masking", "often"], ValueError, "masking='often'"),
    "step of other passes": (["--per_device_train_batch_size", "3"], ValueError, "total_batch_size=4 must be a multiple of per_"),
    "unknown option": (["--learning_rte", "1"], ValueError, "--learning_rte; did you mean --learning_rate"),
}


def run(scenes, out, *words):
    fixed = ["--data", str(scenes), "--output_dir", str(out), "--max_steps", "2", "--total_batch_size", "4"]
    train.run([*fixed, "--disable_tqdm", "true", "--image_size", "112", "--config", CONFIG, "--eval_split", "", *words])


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_stops_the_run_and_is_named(case, scenes, tmp_path):
    change, message = ROWS[case]
    spoil(scenes, change)
    with pytest.raises(ValueError, match=message):
        run(scenes, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize("case", OPTIONS)
def test_a_bad_option_writes_nothing(case, scenes, tmp_path):
    words, error, message = OPTIONS[case]
    with pytest.raises(error, match=message):
        run(scenes, tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe_key_is_named(scenes, tmp_path):
    (tmp_path / "mine.yaml").write_text("learning_rat: 1\n")
    with pytest.raises(ValueError, match="mine.yaml' has the unknown option --learning_rat; did you mean --learning_rate"):
        run(scenes, tmp_path / "out", "--recipe", str(tmp_path / "mine.yaml"))


def test_a_half_written_shard_is_no_dataset(scenes, tmp_path):
    shard = scenes / "train-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(ValueError, match="not a complete parquet file"):
        run(scenes, tmp_path / "out")
    assert json.loads((scenes / "labels.json").read_text())["classes"]


def test_bad_rows_may_be_left_out_and_are_counted(scenes, tmp_path):
    spoil(scenes, lambda row: cut_image(row) if row["image_id"] == "train-00002" else row)
    run(scenes, tmp_path / "out", "--bad_samples", "skip", "--logging_steps", "1", "--max_steps", "4")
    logs = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"]
    counts = [entry.get("skipped_samples", 0) for entry in logs if "loss" in entry]
    assert counts == sorted(counts) and 4 <= counts[-1] <= 6  # 16 images of 3 an epoch


def test_one_class_and_void_are_nothing_for_the_semantic_task(scenes, tmp_path):
    def first_alone(row):
        ids = decode_id_map(row["id_map"], "here")
        return {**row, "id_map": encoded_ids(np.where(ids == 1, 1, 0)), "segments": [{**row["segments"][0], "category": 0}]}

    spoil(scenes, first_alone)
    with pytest.raises(ValueError, match="'bee' is the only class and .* Prepare the images with --background NAME"):
        run(scenes, tmp_path / "out", "--task", "semantic")
    assert not (tmp_path / "out").exists()
    run(scenes, tmp_path / "out", "--task", "instance")
