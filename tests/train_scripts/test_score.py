"""The scoring command: any checkpoint, any task, alone and in several processes, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import transformers
from PIL import Image
from pycocotools import mask as coco_mask

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts import score
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.tasks import TASKS, task_of


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=1, val=5)
    return folder


@pytest.fixture
def partly_right(data, checkpoints, tmp_path):
    """`partly_right(task)`: scenes of which the checkpoint's own segments are the truth, then two others, and one without segments,
    so that scores are neither 0 nor 100."""

    def make(task: str):
        rows = [scenes.make_row(0, "val", index) for index in range(5)]
        model = EomtForUniversalSegmentation.from_pretrained(checkpoints / task)
        model.set_attn_mask_probs([0.0])
        processor = EomtImageProcessor.from_pretrained(checkpoints / task)
        results = predictions(model, processor, evaluation_stream(data, "val", processor), task_of(task), 1, 0.05)
        for row, (_, result) in zip(rows[:2], results, strict=False):
            row |= truth_of(result, task)
        rows[4] |= {"id_map": encoded_ids(np.zeros((112, 112), np.int32)), "segments": []}
        write_split(tmp_path / task, "val", rows, len(rows))
        write_labels(tmp_path / task, scenes.LABELS)
        return tmp_path / task

    return make


def truth_of(result, task: str) -> dict:
    """A prediction as annotations."""
    ids, things = np.zeros((112, 112), np.int32), [index for index, thing in enumerate(scenes.LABELS.isthing) if thing]
    if task == "semantic":
        ids = result.numpy().astype(np.int32) + 1
        categories = {number: number - 1 for number in np.unique(ids).tolist()}
    elif task == "panoptic":
        ids = result["segmentation"].numpy().astype(np.int32) + 1  # -1 is nothing
        categories = {info["id"] + 1: info["label_id"] for info in result["segments_info"]}
    else:
        categories = {}
        for number in range(5, 0, -1):  # better ones cover others
            ids[coco_mask.decode(result["rles"][number - 1]) > 0] = number
            categories[number] = things[int(result["labels"][number - 1])]
    segments = [{"id": i, "category": label, "iscrowd": False} for i, label in categories.items() if (ids == i).any()]
    return {"id_map": encoded_ids(ids), "segments": segments}


def run(data, checkpoint, task: str, *words) -> dict:
    out = checkpoint.parent / "scores.json"
    score.main([*f"--checkpoint {checkpoint} --data {data} --task {task} --output {out} --debug".split(), *words])
    return json.loads(out.read_text())


def of_task(task: str, threshold: str) -> list[str]:
    """The option of panoptic segmentation, which the other tasks don't have."""
    return ["--threshold", threshold] if task == "panoptic" else []


SHOWN = {
    "semantic": ["mIoU", "pixel accuracy", "class"],
    "instance": ["AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "boundary AP", "class"],
    "panoptic": ["PQ", "SQ", "RQ", "things", "stuff", "class"],
}


@pytest.mark.parametrize("task", TASKS)
def test_it_prints_tables_and_writes_scores_and_a_picture(data, checkpoints, tmp_path, capsys, task):
    picture = tmp_path / "new" / "grid.png"
    words = ["--picture", str(picture), *of_task(task, "0.2"), *(["--boundary"] if task == "instance" else [])]
    scores = run(data, checkpoints / task, task, *words, "--batch_size", "2")
    shown = capsys.readouterr().out
    labels = task_of(task).labels(scenes.LABELS)
    assert all(word in shown for word in (*SHOWN[task], *labels.names))
    assert scores["classes"] == labels.names and len(scores["per_class"]) == len(labels) and scores["split"] == "val"
    assert Image.open(picture).size > (6 * 336, 3 * 336)  # five images with truth and prediction, in three lines


def test_it_is_called_from_python_too(data, checkpoints, tmp_path):
    output = tmp_path / "new" / "scores.json"
    scores, labels = score.score(checkpoints / "semantic", data, "val", "semantic", output=output)
    stored = json.loads(output.read_text())
    assert labels == scenes.LABELS and stored["miou"] == scores["miou"] and stored["data"] == str(data)


def test_exact_maps(data, checkpoints, monkeypatch):
    made, seen = EomtImageProcessor.post_process_semantic_segmentation, []
    monkeypatch.setattr(
        EomtImageProcessor,
        "post_process_semantic_segmentation",
        lambda self, *args, **options: seen.append(options["tolerance"]) or made(self, *args, **options),
    )
    near, exact = (run(data, checkpoints / "semantic", "semantic", *words) for words in ([], ["--tolerance", "0"]))
    assert seen == [0.001] * 5 + [0.0] * 5 and exact["miou"] == pytest.approx(near["miou"], abs=0.05)


@pytest.mark.parametrize("task", TASKS)
def test_transformers_own_checkpoint_scores_the_same(data, checkpoints, tmp_path, task):
    ours = run(data, checkpoints / task, task, *of_task(task, "0.2"))
    transformers.EomtForUniversalSegmentation.from_pretrained(checkpoints / task).save_pretrained(tmp_path / "stock")
    theirs = run(data, tmp_path / "stock", task, *of_task(task, "0.2"))  # without a processor: the task's is built
    assert {**theirs, "checkpoint": ""} == {**ours, "checkpoint": ""}


def test_masked_checkpoints_of_eomt_are_scored_unmasked_unless_asked_otherwise(data, checkpoints, tmp_path):
    model = EomtForUniversalSegmentation.from_pretrained(checkpoints / "semantic")
    assert model.attn_mask_probs.tolist() == [1.0]
    model.set_attn_mask_probs([0.0])
    model.save_pretrained(tmp_path / "annealed")
    results = [run(data, folder, "semantic") for folder in (checkpoints / "semantic", tmp_path / "annealed")]
    assert results[0]["miou"] == results[1]["miou"] > 0 and not results[0]["masked"]
    masked = [run(data, checkpoints / "semantic", "semantic", *words) for words in (["--masked"], ["--masked", "true"])]
    assert masked[0] == masked[1] and masked[0]["masked"]
    assert run(data, checkpoints / "semantic", "semantic", "--masked", "false") == results[0]


def test_tokens_are_merged(partly_right, checkpoints):
    words = {"plain": [], "nothing": ["--merge_tokens", "algm", "--merge_threshold", "1", "--merge_blocks", "1", "0"]}
    words["windows"] = [*words["nothing"][:3], "0", *words["nothing"][4:]]
    words["pairs"] = ["--merge_tokens", "mpm", "--merge_blocks", "1"]
    data = partly_right("instance")
    scores = {name: run(data, checkpoints / "instance", "instance", *more) for name, more in words.items()}
    assert scores["nothing"]["ap"] == scores["plain"]["ap"] and scores["windows"]["merge_tokens"] == "algm"
    assert len({scores[name]["ap"] for name in ("plain", "windows", "pairs")}) == 3


def test_other_classes_are_named(data, checkpoints):
    with pytest.raises(ValueError, match=r"14 classes, the data 8 for this task: it lacks \[\] and has \['\w+"):
        run(data, checkpoints / "panoptic", "instance")


def test_what_it_refuses(data, checkpoints, tmp_path):
    with pytest.raises(OSError, match="checkpoint='gone' is no folder with a model"):
        run(data, tmp_path.joinpath("x").with_name("gone").relative_to(tmp_path), "panoptic")
    shutil.copytree(checkpoints / "semantic", tmp_path / "windows")
    with pytest.raises(ValueError, match="cuts images into windows .*task='panoptic' needs a padded"):
        run(data, tmp_path / "windows", "panoptic")
    with pytest.raises(ValueError, match="tolerance=-1.0 must lie in 0..1"):
        run(data, checkpoints / "semantic", "semantic", "--tolerance", "-1")
    with pytest.raises(ValueError, match="boundary=True is for task='instance'"):
        run(data, checkpoints / "panoptic", "panoptic", "--boundary")
    with pytest.raises(ValueError, match=r"split 'test' is not in .*\['train', 'val'\]"):
        run(data, checkpoints / "panoptic", "panoptic", "--split", "test")


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_scores_the_same_to_the_last_digit(partly_right, checkpoints, tmp_path, task, processes):
    """Five images in batches of two: one process sees a ragged batch, with three one sees a single image."""
    data = partly_right(task)
    alone = run(data, checkpoints / task, task, *of_task(task, "0.05"), "--batch_size", "2")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "eomt.train_scripts.score"]
    launch += [*of_task(task, "0.05"), "--batch_size", "2"]
    launch += [*f"--checkpoint {checkpoints / task} --data {data} --task {task} --output {tmp_path}/scores.json".split()]
    done = subprocess.run(launch, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "scores.json").read_text()) == alone
    assert 0 < alone[{"semantic": "miou", "instance": "ap", "panoptic": "pq"}[task]] < 100
    assert done.stdout.count("class ") == 1  # one process prints


def test_images_that_cannot_be_used_stop_it_or_are_reported(data, checkpoints, tmp_path, capsys):
    rows = [scenes.make_row(0, "val", index) for index in range(3)]
    rows[1]["segments"].pop()
    write_labels(tmp_path, scenes.LABELS)
    write_split(tmp_path, "val", rows, 3)
    with pytest.raises(ValueError, match="val-00001"):
        run(tmp_path, checkpoints / "panoptic", "panoptic")
    scores = run(tmp_path, checkpoints / "panoptic", "panoptic", "--bad_samples", "skip")
    assert len(scores["skipped"]) == 1 and "val-00001" in scores["skipped"][0]
    assert "scored without 1 images that can't be used, such as" in capsys.readouterr().out


def test_figures_without_a_limit_where_an_image_has_more_than_100_objects(data, checkpoints, tmp_path, capsys):
    """Of a model of 9 queries and 8 classes, which has no more than 72 instances."""
    rows = [scenes.make_row(0, "val", index) for index in range(3)]
    ids = np.zeros((112, 112), np.int32)
    ids[:110, :110] = np.kron(np.arange(1, 122).reshape(11, 11), np.ones((10, 10), int))
    thing = scenes.LABELS.isthing.index(True)
    rows[2] |= {"id_map": encoded_ids(ids), "segments": [{"id": i, "category": thing, "iscrowd": False} for i in range(1, 122)]}
    (tmp_path / "crowded").mkdir()
    write_labels(tmp_path / "crowded", scenes.LABELS)
    write_split(tmp_path / "crowded", "val", rows, 3)
    scores = run(tmp_path / "crowded", checkpoints / "instance", "instance")
    assert scores["ap_all"] == scores["ap"] and scores["ap50_all"] == scores["ap50"]
    assert "AP50 all" in capsys.readouterr().out
    assert "ap_all" not in run(data, checkpoints / "instance", "instance")


def test_tiles(partly_right, checkpoints):
    """The truth is what the whole images give, and tiles see it in another way."""
    data, checkpoint = partly_right("instance"), checkpoints / "instance"
    whole, _ = score.score(checkpoint, data, "val", "instance")
    tiled, _ = score.score(checkpoint, data, "val", "instance", tiles=2.0)
    in_batches, _ = score.score(checkpoint, data, "val", "instance", tiles=2.0, batch_size=3)
    assert tiled["ap"] != whole["ap"] and in_batches["ap"] == pytest.approx(tiled["ap"], abs=1e-3)
    one_view, _ = score.score(checkpoint, data, "val", "instance", tiles=1.0)
    assert one_view["ap"] == pytest.approx(whole["ap"], abs=1e-9)  # an image that fits has no tiles


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("panoptic", {"tiles": 2.0}, r"tiles=2.0 is for task='instance', not 'panoptic'"),
        ("instance", {"tiles": 0.5}, r"tiles=0.5 must lie in 1..16"),
        ("instance", {"tiles": 2.0, "implementation": "transformers"}, "tiles=2.0 is for implementation='eomt'"),
        ("panoptic", {"mirror": True}, "mirror=True is for task='semantic', not 'panoptic'"),
        ("semantic", {"mirror": True, "implementation": "transformers"}, "mirror=True is for implementation='eomt'"),
        ("panoptic", {"scales": [1.0, 1.5]}, r"scales=\[1.0, 1.5\] is for task='semantic', not 'panoptic'"),
        ("semantic", {"scales": [0.5, 1.0]}, r"scales=\[0.5, 1.0\] must be different numbers from 1 to 16"),
        ("semantic", {"scales": [1.5], "implementation": "transformers"}, r"scales=\[1.5\] is for implementation='eomt'"),
        ("semantic", {"threshold": 0.5}, "threshold=0.5 is for task='panoptic', not 'semantic'; leave it out"),
        ("instance", {"threshold": 0.5}, "threshold=0.5 is for task='panoptic', not 'instance'; leave it out"),
        ("instance", {"threshold": 1.0, "implementation": "transformers"}, "threshold=1.0 must lie in 0..1 and be less than 1"),
        ("panoptic", {"threshold": -3.0}, "threshold=-3.0 must lie in 0..1 and be less than 1"),
        ("panoptic", {"threshold": 80.0}, "threshold=80.0 must lie in 0..1 and be less than 1"),
    ],
)
def test_options_that_are_refused(data, checkpoints, task, options, message):
    with pytest.raises(ValueError, match=message):
        score.score(checkpoints / task, data, "val", task, **options)
