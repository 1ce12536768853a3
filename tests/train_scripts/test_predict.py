"""Predictions over many images: files that other tools read, interruptions, broken images, and any number of processes."""

import json
import os
import shutil
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.prediction_files import PredictionFiles
from eomt.train_scripts.evaluation.prediction_formats import PanopticFormat
from eomt.train_scripts.evaluation.tasks import KEPT_SCORE, TASKS, task_of
from eomt.train_scripts.metrics.panoptic_quality import PanopticQuality
from eomt.train_scripts.predict import main, predict

SIZES = [(112, 112), (70, 112), (112, 60), (50, 50), (112, 112)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five parts of scenes, named as COCO names its images, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number, (height, width) in enumerate(SIZES):
        image, *_ = scenes.make_scene(np.random.default_rng(number), held_out=True)
        Image.fromarray(image[:height, :width]).save(folder / ("more/x.png" if number == 3 else f"{100 + number:012d}.png"))
    return folder


NAMES = ["000000000100", "000000000101", "000000000102", "000000000104", "more/x"]


@pytest.fixture
def direct(checkpoints, photos):
    """`direct(task)`: {name: what the image processor makes of an image}, one at a time."""

    def run(task: str) -> dict:
        model = EomtForUniversalSegmentation.from_pretrained(checkpoints / task).eval()
        model.set_attn_mask_probs([0.0])
        processor = EomtImageProcessor.from_pretrained(checkpoints / task)
        results = {}
        for name in NAMES:
            image = Image.open(photos / f"{name}.png")
            inputs = processor(images=[image], return_tensors="pt")
            with torch.no_grad():
                outputs = model(**inputs)
            size = [image.size[::-1]]
            if task == "semantic":
                results[name] = processor.post_process_semantic_segmentation(outputs, size)[0]
            elif task == "panoptic":
                results[name] = processor.post_process_panoptic_segmentation(outputs, size, threshold=0.05)[0]
            else:
                results[name] = processor.post_process_instance_segmentation(
                    outputs, size, threshold=0.0, top_k=100, return_rles=True
                )[0]
        return results

    return run


def run(checkpoints, photos, task: str, out, **options) -> dict[str, int]:
    return predict(checkpoints / task, photos, task, out, threshold=0.05, bf16=False, **options)


def test_panoptic_files(checkpoints, photos, direct, tmp_path):
    assert run(checkpoints, photos, "panoptic", tmp_path / "out") == {"predicted": 5, "done": 0, "broken": 0}
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    assert [entry["name"] for entry in content["categories"]] == scenes.LABELS.names
    assert [entry["isthing"] for entry in content["categories"]] == [1] * 8 + [0] * 6
    assert [image["id"] for image in content["images"]] == [100, 101, 102, 104, "more/x"]
    assert [image["file_name"] for image in content["images"]] == [f"{name}.png" for name in NAMES]
    segments = 0
    for name, annotation in zip(NAMES, content["annotations"], strict=True):
        channels = np.asarray(Image.open(tmp_path / "out" / "panoptic" / annotation["file_name"])).astype(int)
        ids = channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]
        expected = direct("panoptic")[name]
        assert set(np.unique(ids)) - {0} == {info["id"] for info in annotation["segments_info"]}
        for info, written in zip(expected["segments_info"], annotation["segments_info"], strict=True):
            mask = ids == written["id"]
            assert written["category_id"] == info["label_id"] and written["area"] == mask.sum()
            assert np.array_equal(mask, expected["segmentation"] == info["id"])
            assert written["bbox"] == coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))).tolist()
            segments += 1
    assert segments > 3


def test_instance_files_are_read_by_pycocotools(checkpoints, photos, direct, tmp_path):
    run(checkpoints, photos, "instance", tmp_path / "out", overlays=True)
    truth = COCO()
    truth.dataset = {"images": [{"id": i} for i in (100, 101, 102, 104, "more/x")], "annotations": [], "categories": [], "info": {}}
    truth.createIndex()
    loaded = truth.loadRes(str(tmp_path / "out" / "instances.json"))
    expected = direct("instance")
    for name, number in zip(NAMES, (100, 101, 102, 104, "more/x"), strict=True):
        entries = loaded.loadAnns(loaded.getAnnIds(imgIds=[number]))
        assert [entry["segmentation"]["counts"] for entry in entries] == [
            rle["counts"].decode() for rle in expected[name]["segmentation"]
        ]
        assert [entry["score"] for entry in entries] == pytest.approx([info["score"] for info in expected[name]["segments_info"]])
        boxes = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in (info["bbox"] for info in expected[name]["segments_info"])]
        assert [entry["bbox"] for entry in entries] == boxes
    assert Image.open(tmp_path / "out" / "overlays" / "more" / "x.jpg").size == (50, 50)


def test_files_hold_what_is_beyond_the_best_100(photos, tmp_path):
    """Of a model with 150 queries for one class, most of them sure."""
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=150, image_size=64)
    model = EomtForUniversalSegmentation(EomtConfig(**sizes, id2label={0: "cell"}))
    with torch.no_grad():
        model.class_predictor.bias.copy_(torch.tensor([2.0, 0.0]))
    model.save_pretrained(tmp_path / "model")
    EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True).save_pretrained(tmp_path / "model")
    predict(tmp_path / "model", photos, "instance", tmp_path / "out", bf16=False, overlays=True)
    found = json.loads((tmp_path / "out" / "instances.json").read_text())
    found = found["annotations"] if isinstance(found, dict) else found
    scores = [[one["score"] for one in found if one["image_id"] == number] for number in (100, 101, 102, 104, "more/x")]
    assert all(len(of_image) > 100 and min(of_image[100:]) >= KEPT_SCORE for of_image in scores)


def test_semantic_files(checkpoints, photos, direct, tmp_path):
    run(checkpoints, photos, "semantic", tmp_path / "out", batch_size=2)
    expected = direct("semantic")
    for name in NAMES:
        written = np.asarray(Image.open(tmp_path / "out" / "semantic" / f"{name}.png"))
        assert written.dtype == np.uint8 and (written != expected[name].numpy()).mean() < 0.002  # the scorer's tolerance of .001


@pytest.mark.parametrize("task", TASKS)
def test_maps_of_confidence_of_16_bits_beside_the_same_predictions(checkpoints, photos, tmp_path, task):
    run(checkpoints, photos, task, tmp_path / "plain")
    run(checkpoints, photos, task, tmp_path / "out", confidence=["rba", "max"])
    processor = EomtImageProcessor.from_pretrained(checkpoints / task)
    model = EomtForUniversalSegmentation.from_pretrained(checkpoints / task).eval()
    model.set_attn_mask_probs([0.0])
    for path in (tmp_path / "plain").rglob("*.*"):
        if path.is_file() and path.name != "run.json":
            assert (tmp_path / "out" / path.relative_to(tmp_path / "plain")).read_bytes() == path.read_bytes()
    for name in NAMES:
        image = Image.open(photos / f"{name}.png")
        with torch.no_grad():
            outputs = model(**processor(images=[image], return_tensors="pt"))
        for score in ("rba", "max"):
            written = np.asarray(Image.open(tmp_path / "out" / "confidence" / score / f"{name}.png"))
            (expected,) = processor.post_process_semantic_segmentation(outputs, [image.size[::-1]], output_confidence=score)
            assert written.dtype == np.uint16 and written.shape == image.size[::-1]
            assert np.abs(written - 65536 * expected.confidence.numpy()).max() < 2  # rounded down, and other sums of floats
    with pytest.raises(ValueError, match="has predictions of another run, with {'confidence': "):
        run(checkpoints, photos, task, tmp_path / "out", confidence=["max"])
    with pytest.raises(ValueError, match="confidence='sure' is unknown; choose one of max, entropy, msp, rba"):
        run(checkpoints, photos, task, tmp_path / "other", confidence=["sure"])


def test_category_ids_of_coco(checkpoints, photos, tmp_path):
    entries = [{"id": 10 * index, "name": name, "isthing": 0} for index, name in enumerate(scenes.LABELS.names)]
    (tmp_path / "coco.json").write_text(json.dumps({"categories": entries}))
    run(checkpoints, photos, "panoptic", tmp_path / "out", categories=tmp_path / "coco.json")
    content = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    used = {info["category_id"] for entry in content["annotations"] for info in entry["segments_info"]}
    assert used <= set(range(0, 140, 10)) and max(used) > 13
    (tmp_path / "coco.json").write_text(json.dumps({"categories": entries[1:]}))
    with pytest.raises(ValueError, match=r"lacks the model's classes \['bee'\]"):
        run(checkpoints, photos, "panoptic", tmp_path / "other", categories=tmp_path / "coco.json")


@pytest.mark.parametrize("at", ["before", "while writing"])
def test_an_interrupted_run_goes_on_with_what_is_not_done(checkpoints, photos, tmp_path, monkeypatch, at):
    run(checkpoints, photos, "panoptic", tmp_path / "whole")
    add, added = PredictionFiles.add, []

    def stop(self, image, result, confidences):
        if len(added) == 2:
            if at == "while writing":
                monkeypatch.setattr("eomt.train_scripts.evaluation.prediction_files._write", lambda path, text: 1 / 0)
                add(self, image, result, confidences)  # the PNG is there, the record isn't
            raise KeyboardInterrupt
        added.append(image.image_id)
        add(self, image, result, confidences)

    with monkeypatch.context() as patch:
        monkeypatch = patch
        patch.setattr(PredictionFiles, "add", stop)
        with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
            run(checkpoints, photos, "panoptic", tmp_path / "out")
    assert not (tmp_path / "out" / "panoptic.json").exists()
    assert run(checkpoints, photos, "panoptic", tmp_path / "out") == {"predicted": 3, "done": 2, "broken": 0}
    for path in sorted((tmp_path / "whole").rglob("*.*")):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
    assert run(checkpoints, photos, "panoptic", tmp_path / "out") == {"predicted": 0, "done": 5, "broken": 0}


def test_a_broken_image_is_reported_and_tried_again(checkpoints, photos, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (photos / f"{NAMES[0]}.png").read_bytes()
    (folder / "a.png").write_bytes(whole)
    (folder / "b.png").write_bytes(whole[:300])
    words = f"--checkpoint {checkpoints}/panoptic --images {folder} --task panoptic --output {tmp_path}/out --threshold 0.05"
    main(words.split())
    assert "1 predicted, 0 done, 1 broken; in" in capsys.readouterr().out
    assert "can't be decoded" in json.loads((tmp_path / "out" / "broken.json").read_text())["b"]
    (folder / "b.png").write_bytes(whole)
    main(words.split())
    assert "1 predicted, 1 done, 0 broken" in capsys.readouterr().out and not (tmp_path / "out" / "broken.json").exists()
    pictures = [(tmp_path / "out" / "panoptic" / f"{name}.png").read_bytes() for name in "ab"]
    assert pictures[0] == pictures[1]


def test_parquet_shards_and_streams(checkpoints, tmp_path):
    write_scenes(tmp_path / "scenes", train=1, val=3)
    assert run(checkpoints, tmp_path / "scenes", "panoptic", tmp_path / "a", split="val")["predicted"] == 3
    shard = tmp_path / "scenes" / "val-00000-of-00001.parquet"
    assert run(checkpoints, shard, "panoptic", tmp_path / "b")["predicted"] == 3
    for name in ("val-00000", "val-00002"):
        assert (tmp_path / "a/panoptic" / f"{name}.png").read_bytes() == (tmp_path / "b/panoptic" / f"{name}.png").read_bytes()
    with pytest.raises(ValueError, match="has no column 'photo', but .*'image'"):
        run(checkpoints, shard, "panoptic", tmp_path / "c", column="photo")


def test_a_stream_of_datasets_by_name(checkpoints, photos, tmp_path, monkeypatch):
    """As of the Hub, which is not asked here: rows that have a name each, and no number that is known before."""
    images = datasets.Features({"id": datasets.Value("string"), "photo": datasets.Image()})
    rows = [{"id": name, "photo": {"bytes": (photos / f"{name}.png").read_bytes(), "path": None}} for name in NAMES]
    asked = []

    def load_dataset(name, **options):
        asked.append((name, options))
        return datasets.IterableDataset.from_generator(lambda: iter(rows), features=images, split=options["split"])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    words = str(checkpoints / "panoptic"), "org/photos", "panoptic", tmp_path / "stream"
    assert predict(*words, split="test", column="photo", threshold=0.05, bf16=False)["predicted"] == 5
    assert asked == [("org/photos", {"split": "test", "streaming": True})]
    run(checkpoints, photos, "panoptic", tmp_path / "folder")
    for name in NAMES:
        assert (tmp_path / f"stream/panoptic/{name}.png").read_bytes() == (tmp_path / f"folder/panoptic/{name}.png").read_bytes()


def test_the_files_score_as_the_model_does(checkpoints, tmp_path):
    write_scenes(tmp_path / "scenes", train=1, val=4)
    run(checkpoints, tmp_path / "scenes", "panoptic", tmp_path / "out")
    model = EomtForUniversalSegmentation.from_pretrained(checkpoints / "panoptic")
    model.set_attn_mask_probs([0.0])
    processor = EomtImageProcessor.from_pretrained(checkpoints / "panoptic")
    stream = evaluation_stream(tmp_path / "scenes", "val", processor)
    direct, by_files = PanopticQuality(scenes.LABELS.isthing), PanopticQuality(scenes.LABELS.isthing)
    annotations = json.loads((tmp_path / "out" / "panoptic.json").read_text())["annotations"]
    results = predictions(model, processor, stream, task_of("panoptic"), 1, 0.05)
    for (sample, result), annotation in zip(results, annotations, strict=True):
        direct.add(result, sample)
        assert annotation["image_id"] == sample.image_id
        channels = np.asarray(Image.open(tmp_path / "out" / "panoptic" / annotation["file_name"])).astype(np.int64)
        infos = [{"id": info["id"], "label_id": info["category_id"]} for info in annotation["segments_info"]]
        by_files.add({"segmentation": torch.from_numpy(channels @ [1, 256, 65536]), "segments_info": infos}, sample)
    assert torch.equal(by_files.state, direct.state) and direct.state[:, 2].sum() > 3  # false positives: it is untrained


def test_other_folders_and_names_are_refused(checkpoints, photos, tmp_path):
    run(checkpoints, photos, "panoptic", tmp_path / "out")
    with pytest.raises(ValueError, match="has predictions of another run, with {'threshold': 0.05}. Choose another folder"):
        predict(str(checkpoints / "panoptic"), str(photos), "panoptic", tmp_path / "out", threshold=0.7, bf16=False)
    with pytest.raises(ValueError, match="exists and holds something else"):
        run(checkpoints, photos, "panoptic", photos)
    form = PanopticFormat(tmp_path / "new", scenes.LABELS, range(14))
    with pytest.raises(ValueError, match="leads out of the output folder"):
        PredictionFiles(tmp_path / "new", task_of("panoptic"), scenes.LABELS, form, {}).is_done("../x")
    with pytest.raises(ValueError, match="images=.*no such file"):
        run(checkpoints, tmp_path / "gone.parquet", "panoptic", tmp_path / "new")


def test_a_name_that_is_nothing_leaves_the_output_folder_free(checkpoints, photos, tmp_path):
    for gone in (tmp_path / "gone", "org/gone"):  # the second would be asked of the Hub
        with pytest.raises(ValueError, match="images=.*gone: no such file or folder here, and the Hub"):
            run(checkpoints, gone, "panoptic", tmp_path / "out")
    (tmp_path / "shards").mkdir()
    images = datasets.Features({"photo": datasets.Image()})
    rows = [{"photo": {"bytes": (photos / f"{name}.png").read_bytes(), "path": None}} for name in NAMES[:2]]
    datasets.Dataset.from_list(rows, features=images).to_parquet(tmp_path / "shards" / "any.parquet")
    with pytest.raises(ValueError, match="has no column 'image', but .*'photo'"):
        run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "out")
    assert run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "out", column="photo")["predicted"] == 2
    (tmp_path / "shards" / "any.parquet").rename(tmp_path / "shards" / "test-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"split 'val' is not in .*shards, which has \['test'\]"):
        run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "new", column="photo")


def test_a_model_that_was_trained_masked_is_predicted_with_masked(checkpoints, photos, tmp_path):
    for masked in (False, True):
        run(checkpoints, photos, "instance", tmp_path / str(masked), masked=masked)
    entries = [json.loads((tmp_path / str(masked) / "instances.json").read_text()) for masked in (False, True)]
    assert sum(entry["score"] for entry in entries[0]) != pytest.approx(sum(entry["score"] for entry in entries[1]), abs=1e-4)
    with pytest.raises(ValueError, match="has predictions of another run, with {'masked': True}"):
        run(checkpoints, photos, "instance", tmp_path / "True")


def test_tokens_are_merged(checkpoints, photos, tmp_path):
    merging = dict(merge_tokens="algm", merge_threshold=0.0, merge_blocks=[1, 0])
    for name, options in (("plain", {}), ("merged", merging)):
        run(checkpoints, photos, "instance", tmp_path / name, **options)
    entries = [json.loads((tmp_path / name / "instances.json").read_text()) for name in ("plain", "merged")]
    assert sum(entry["score"] for entry in entries[0]) != pytest.approx(sum(entry["score"] for entry in entries[1]), abs=1e-4)
    with pytest.raises(
        ValueError, match=r"has predictions of another run, with {'merge_tokens': 'ALGM\(threshold=0.0, local_block=1"
    ):
        run(checkpoints, photos, "instance", tmp_path / "merged")


def test_predictions_of_earlier_weights_are_not_gone_on_with(checkpoints, photos, tmp_path):
    shutil.copytree(checkpoints / "panoptic", tmp_path / "model")
    words = str(tmp_path / "model"), str(photos), "panoptic", tmp_path / "out"
    predict(*words, threshold=0.05, bf16=False)
    assert predict(*words, threshold=0.05, bf16=False)["done"] == 5
    os.utime(tmp_path / "model" / "model.safetensors")  # trained on
    with pytest.raises(ValueError, match="has predictions of another run, with {'version'"):
        predict(*words, threshold=0.05, bf16=False)


def test_images_by_any_usual_suffix_and_other_files_are_counted(checkpoints, tmp_path, caplog):
    """Cameras, browsers and old tools name JPEGs in many ways; what is left out is told."""
    (tmp_path / "in").mkdir()
    image = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    for name, form in (
        ("a.jpg", "JPEG"),
        ("b.jfif", "JPEG"),
        ("c.JPE", "JPEG"),
        ("d.gif", "GIF"),
        ("e.ppm", "PPM"),
        ("f.webp", "WEBP"),
    ):
        image.save(tmp_path / "in" / name, form)
    (tmp_path / "in" / "notes.txt").write_text("of no image")
    counts = predict(str(checkpoints / "semantic"), str(tmp_path / "in"), "semantic", str(tmp_path / "out"))
    assert counts == {"predicted": 6, "done": 0, "broken": 0}
    assert "left out: 1 files that are no images by their suffix, such as notes.txt" in caplog.text


def test_one_image(checkpoints, photos, tmp_path):
    counts = predict(checkpoints / "semantic", photos / "more" / "x.png", "semantic", tmp_path / "out")
    assert counts == {"predicted": 1, "done": 0, "broken": 0} and (tmp_path / "out/semantic/x.png").is_file()


def test_names_that_are_one_number(checkpoints, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("1.png", "01.png"):
        shutil.copy(photos / f"{NAMES[0]}.png", tmp_path / "photos" / name)
    with pytest.raises(ValueError, match="two images have the name 1, so that one would replace the other"):
        run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "out")


def test_damaged_files_of_any_kind_are_reported(checkpoints, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    whole = (photos / f"{NAMES[0]}.png").read_bytes()
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "photos" / "a.tif")
    (tmp_path / "photos" / "b.png").write_bytes(whole[:16] + (60000).to_bytes(4, "big") * 2 + whole[24:])  # 3,600 megapixels
    (tmp_path / "photos" / "c.png").write_bytes(b"")
    (tmp_path / "photos" / "d.png").write_bytes(whole)
    assert run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "out") == {"predicted": 1, "done": 0, "broken": 3}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_two_processes_give_what_one_gives(checkpoints, photos, tmp_path, task):
    run(checkpoints, photos, task, tmp_path / "one", batch_size=2)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "eomt.train_scripts.predict"]
    command += f"--checkpoint {checkpoints / task} --images {photos} --task {task} --output {tmp_path / 'two'}".split()
    command += ["--batch_size", "2", "--threshold", "0.05", "--bf16", "false"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "5 predicted, 0 done, 0 broken" in done.stdout
    for path in sorted((tmp_path / "one").rglob("*.*")):
        if path.is_file():
            assert (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() == path.read_bytes(), path


def test_instances_of_tiles(checkpoints, photos, tmp_path):
    """As the tiled processor finds them, image by image; a run with other tiles is refused."""
    out = tmp_path / "out"
    assert run(checkpoints, photos, "instance", out, tiles=2.0)["predicted"] == 5
    found = json.loads((out / "instances.json").read_text())
    found = found["annotations"] if isinstance(found, dict) else found
    model = EomtForUniversalSegmentation.from_pretrained(checkpoints / "instance").eval()
    model.set_attn_mask_probs([0.0])
    processor = TiledProcessor(EomtImageProcessor.from_pretrained(checkpoints / "instance"), 2.0)
    image = torch.from_numpy(np.array(Image.open(photos / "000000000101.png"))).permute(2, 0, 1)
    with torch.no_grad():
        outputs = model(**processor(images=[image]))
    (expected,) = processor.post_process_instance_segmentation(outputs, [SIZES[1]], top_k=100)
    scores = sorted((one["score"] for one in found if one["image_id"] == 101), reverse=True)
    assert scores == pytest.approx([info["score"] for info in expected["segments_info"]], abs=1e-5) and len(scores) > 5
    with pytest.raises(ValueError, match="tiles"):
        run(checkpoints, photos, "instance", out, tiles=3.0)
    with pytest.raises(ValueError, match="tiles=2.0 has no confidence"):
        run(checkpoints, photos, "instance", tmp_path / "other", tiles=2.0, confidence=["max"])
