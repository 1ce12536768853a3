"""Predictions over many images, as files that other tools read."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from predicted_photos import NAMES, SIZES, run
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.tasks import KEPT_SCORE, TASKS, task_of
from eomt.train_scripts.metrics.panoptic_quality import PanopticQuality
from eomt.train_scripts.predict import predict


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


def test_of_a_panoptic_model_the_things_alone_are_instances(checkpoints, photos, tmp_path):
    predict(checkpoints / "panoptic", photos / f"{NAMES[0]}.png", "instance", tmp_path / "out", bf16=False)
    entries = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert {entry["category_id"] for entry in entries} <= set(range(8)) and len(entries) > 3


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
    with pytest.raises(ValueError, match=r"another run, this one having confidence=\['max'\] instead of \['rba', 'max'\]\. Choose"):
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
    (tmp_path / "list.json").write_text(json.dumps(entries))  # as panoptic_coco_categories.json
    run(checkpoints, photos, "panoptic", tmp_path / "listed", categories=str(tmp_path / "list.json"))
    assert (tmp_path / "listed" / "panoptic.json").read_bytes() == (tmp_path / "out" / "panoptic.json").read_bytes()
    (tmp_path / "coco.json").write_text(json.dumps({"categories": entries[1:]}))
    with pytest.raises(ValueError, match=r"lacks the model's classes \['bee'\]"):
        run(checkpoints, photos, "panoptic", tmp_path / "other", categories=tmp_path / "coco.json")


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


def test_a_model_that_was_trained_masked_is_predicted_with_masked(checkpoints, photos, tmp_path):
    for masked in (False, True):
        run(checkpoints, photos, "instance", tmp_path / str(masked), masked=masked)
    entries = [json.loads((tmp_path / str(masked) / "instances.json").read_text()) for masked in (False, True)]
    assert sum(entry["score"] for entry in entries[0]) != pytest.approx(sum(entry["score"] for entry in entries[1]), abs=1e-4)
    with pytest.raises(ValueError, match="another run, this one having masked=False instead of True. Choose"):
        run(checkpoints, photos, "instance", tmp_path / "True")


def test_tokens_are_merged(checkpoints, photos, tmp_path):
    merging = dict(merge_tokens="algm", merge_threshold=0.0, merge_blocks=[1, 0])
    for name, options in (("plain", {}), ("merged", merging)):
        run(checkpoints, photos, "instance", tmp_path / name, **options)
    entries = [json.loads((tmp_path / name / "instances.json").read_text()) for name in ("plain", "merged")]
    assert sum(entry["score"] for entry in entries[0]) != pytest.approx(sum(entry["score"] for entry in entries[1]), abs=1e-4)
    with pytest.raises(
        ValueError, match=r"another run, this one having merge_tokens=None instead of ALGM\(threshold=0.0, local_block=1"
    ):
        run(checkpoints, photos, "instance", tmp_path / "merged")


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
