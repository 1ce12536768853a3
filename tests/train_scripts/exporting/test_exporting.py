"""`eomt export`: the folder that it writes, which every command takes, and what it refuses."""

import copy
import importlib.util
import json
import re
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, pipeline
from transformers.exporters.base import ExportedModel

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.exported import ExportedMaskClassifier
from eomt.train_scripts import export, train
from eomt.train_scripts.data import scenes
from eomt.train_scripts.evaluation.predicting import predict
from eomt.train_scripts.evaluation.scoring import score
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.exporting.check_images import draw_scene
from eomt.train_scripts.exporting.checking import agreement
from eomt.train_scripts.exporting.exporting import export_model
from eomt.train_scripts.exporting.graphs import quantize_graph

SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=9, image_size=64)


def store_model(folder, task="semantic", masked=False, processor=True):
    """A tiny checkpoint of the demo's classes, with queries sure enough of something to make segments."""
    labels = task_of(task).labels(scenes.LABELS)
    torch.manual_seed(0)
    model = EomtForUniversalSegmentation(EomtConfig(**SIZES, id2label=dict(enumerate(labels.names))))
    model.set_attn_mask_probs([float(masked)])
    with torch.no_grad():
        model.class_predictor.weight.mul_(6)
        model.mask_head.fc3.weight.mul_(30)
    model.save_pretrained(folder)
    if processor:
        task_of(task).processor(64, labels).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def semantic(tmp_path_factory):
    """A semantic checkpoint, whose processor cuts windows, its ONNX export, and what was reported of it."""
    pytest.importorskip("onnxscript", reason="the extra `export` installs it")
    folder = tmp_path_factory.mktemp("semantic")
    checkpoint = store_model(folder / "model")
    return checkpoint, str(folder / "onnx"), export_model(checkpoint, "onnx", str(folder / "onnx"), int8=False)


@pytest.fixture
def upright() -> Image.Image:
    return draw_scene((100, 170), seed=3)


def test_the_graph_equals_the_model_at_other_sizes_and_batches(semantic):
    checkpoint, exported, report = semantic
    assert report.agreement.difference < 1e-4 and report.agreement.same_class > 0.99 and report.agreement.inputs == 4
    graph, model = AutoModel.from_pretrained(exported), AutoModel.from_pretrained(checkpoint).eval()
    assert isinstance(graph, ExportedMaskClassifier) and graph.num_parameters() == model.num_parameters()
    for shape in ((3, 3, 64, 64), (1, 3, 32, 128), (2, 3, 80, 48)):
        pixel_values = torch.randn(shape)
        with torch.no_grad():
            expected = model(pixel_values)
        outputs = graph(pixel_values)
        for name in ("class_queries_logits", "masks_queries_logits", "last_hidden_state"):
            torch.testing.assert_close(outputs[name], expected[name], atol=1e-4, rtol=1e-5)


def test_sizes_off_the_patch_grid_are_refused_also_by_the_graph_itself(semantic):
    import onnxruntime

    graph = AutoModel.from_pretrained(semantic[1])
    with pytest.raises(ValueError, match="is 70x100 pixels, but height and width must be positive multiples of 16x16"):
        graph(torch.randn(1, 3, 70, 100))
    with pytest.raises(ValueError, match=r"shape \(1, 4, 64, 64\)"):
        graph(torch.randn(1, 4, 64, 64))
    session = onnxruntime.InferenceSession(f"{semantic[1]}/model.onnx")
    for size in ((70, 100), (24, 16), (64, 72)):
        with pytest.raises(Exception, match="cannot be reshaped"):
            session.run(None, {"pixel_values": np.zeros((2, 3, *size), np.float32)})


def test_the_pipeline_takes_the_folder_windows_too(semantic, upright, caplog):
    checkpoint, exported, _ = semantic
    results = [pipeline("image-segmentation", model=folder)(upright, subtask="semantic") for folder in (checkpoint, exported)]
    assert len(results[0]) > 1 and [segment["label"] for segment in results[0]] == [segment["label"] for segment in results[1]]
    for expected, segment in zip(*results, strict=True):
        assert np.mean(np.array(expected["mask"]) != np.array(segment["mask"])) < 1e-3
    assert "not supported" not in caplog.text


def test_score_and_predict_take_the_folder(semantic, few_scenes, upright, tmp_path):
    checkpoint, exported, _ = semantic
    images = tmp_path / "images"
    images.mkdir()
    upright.save(images / "tall.png")
    results = []
    for name, model in (("torch", checkpoint), ("onnx", exported)):
        scores, _ = score(model, few_scenes, "val", "semantic", batch_size=2, bf16=None if name == "onnx" else False, latency=1)
        predict(model, images, "semantic", tmp_path / name, bf16=None if name == "onnx" else False)
        results.append((scores["miou"], scores["parameters"], np.asarray(Image.open(next((tmp_path / name).rglob("tall.png"))))))
    assert results[0][0] == pytest.approx(results[1][0], abs=0.1) and results[0][1] == results[1][1]
    assert len(np.unique(results[0][2])) > 1 and np.mean(results[0][2] != results[1][2]) < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(masked=True), "exported without masked attention"),
        (dict(bf16=True), "runs in the numbers of its graph"),
        (dict(attn_implementation="eager"), "a fixed graph"),
        (dict(merge_tokens="algm"), "no tokens can be merged"),
    ],
)
def test_options_that_a_graph_cannot_follow_are_refused(semantic, few_scenes, options, message):
    with pytest.raises(ValueError, match=message):
        score(semantic[1], few_scenes, "val", "semantic", **options)


def test_a_graph_has_no_weights_to_train_or_to_export_again(semantic, tiny_words, tmp_path):
    with pytest.raises(ValueError, match="is an export.*give the checkpoint that it was made from"):
        train.run([*tiny_words, "--config", "{}", "--checkpoint", semantic[1], "--output_dir", str(tmp_path / "run")])
    with pytest.raises(ValueError, match="is an export"):
        export_model(semantic[1], "onnx", str(tmp_path / "again"))


def test_a_masked_checkpoint_is_refused_unless_asked_for(tmp_path, capsys):
    checkpoint = store_model(tmp_path / "masked", masked=True)
    words = ["--checkpoint", checkpoint, "--to", "pt2", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        export.main(words)
    assert re.search(r"probabilities are \[1.0\]; give --masked false .* or --masked true", capsys.readouterr().err)
    draw_scene((90, 64), seed=1).save(tmp_path / "a.png")
    export.main([*words, "--masked", "true", "--images", str(tmp_path / "a.png")])
    shown = capsys.readouterr().out
    assert "takes any number of images of multiples of 16x16 pixels" in shown and "checked:  on 1 image(s), logits within " in shown
    assert "--task semantic --output predictions --overlays --trust_remote_code" in shown
    graph = AutoModel.from_pretrained(tmp_path / "out", trust_remote_code=True)
    model = EomtForUniversalSegmentation.from_pretrained(checkpoint).eval()
    pixel_values = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model(pixel_values).masks_queries_logits
    torch.testing.assert_close(graph(pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=1e-5)
    assert bool(graph.attn_mask_probs.all())
    with ZipFile(tmp_path / "out" / "model.pt2") as archive:
        assert not any(b"/mask_classifier.py" in archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": torch.bfloat16}, "dtype=torch.bfloat16: .* is an export, whose graph takes torch.float32; leave it out"),
        ({"device_map": "auto"}, "device_map='auto' is no argument for an export, a fixed graph; leave it out"),
        ({"attn_implementation": "eager"}, "attn_implementation='eager': .* is an export"),
        ({"image_size": 32}, "image_size=32: .* is an export with 64, which its graph can't change"),
        ({"num_labels": 40}, r"num_labels=40: .* is an export with \d+"),
        ({"num_blokcs": 1}, "num_blokcs=1 is no argument for an export"),
    ],
)
def test_arguments_that_a_graph_can_not_follow_are_refused(semantic, options, message):
    checkpoint, exported, _ = semantic
    for load in (AutoModel.from_pretrained, EomtForUniversalSegmentation.from_pretrained):
        with pytest.raises(ValueError, match=message):
            load(exported, **options)
    for same in (dict(config=EomtConfig.from_pretrained(checkpoint)), dict(dtype=torch.float32, image_size=64)):
        assert isinstance(AutoModel.from_pretrained(exported, **same), ExportedMaskClassifier)


def test_a_pt2_is_loaded_on_trust_alone(tmp_path):
    (tmp_path / "export.json").write_text(json.dumps({"components": {"model": {"file": "model.pt2"}}}))
    with pytest.raises(ValueError, match="can run any code when it is loaded"):
        ExportedMaskClassifier.from_pretrained(tmp_path)


def test_a_missing_runtime_is_named(semantic, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs onnxruntime onnxscript: pip install onnxruntime onnxscript"):
        ExportedMaskClassifier.from_pretrained(semantic[1])


def test_nothing_is_left_of_a_graph_that_differs(tmp_path, monkeypatch):
    from eomt.train_scripts.exporting import exporting

    def wrong_graph(model, to, size):
        wrong = copy.deepcopy(model)
        torch.nn.init.constant_(wrong.class_predictor.bias, 1.0)
        return make_graph(wrong, to, size)

    make_graph = exporting.make_graph
    monkeypatch.setattr(exporting, "make_graph", wrong_graph)
    checkpoint = store_model(tmp_path / "model")
    with pytest.raises(ValueError, match="differs from the model by .* nothing was written"):
        export_model(checkpoint, "pt2", str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_8_bit_weights_make_a_smaller_graph_that_nearly_agrees(semantic, tmp_path):
    checkpoint, exported, _ = semantic
    graph = ExportedModel.from_pretrained(exported)
    quantize_graph(graph, "onnx")
    graph.save_pretrained(tmp_path / "int8")
    sizes = [sum(path.stat().st_size for path in Path(folder).glob("model*")) for folder in (tmp_path / "int8", exported)]
    assert sizes[0] < 0.8 * sizes[1]
    model = AutoModel.from_pretrained(checkpoint).eval()
    compared = agreement(AutoModel.from_pretrained(tmp_path / "int8"), model, [torch.randn(2, 3, 64, 64)])
    assert not compared.within_tolerance and compared.same_class > 0.7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to coreml", "choose from"),
        ("--to pt2 --int8", "8-bit weights are for onnx, openvino, web"),
        ("--to onnx --images no/such", "no such file or folder"),
    ],
)
def test_wrong_options_are_answered_in_one_line(tmp_path, words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        export.main(["--checkpoint", str(tmp_path), "--output", str(tmp_path / "out"), *words.split()])
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_a_checkpoint_without_image_processor_and_a_folder_that_is_there_are_refused(tmp_path):
    checkpoint = store_model(tmp_path / "model", processor=False)
    with pytest.raises(ValueError, match="has no image processor"):
        export_model(checkpoint, "onnx", str(tmp_path / "out"))
    with pytest.raises(ValueError, match="is there already"):
        export_model(checkpoint, "onnx", checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_openvino(tmp_path, int8):
    pytest.importorskip("openvino", reason="not installed; the extra `openvino` has it")
    if int8:
        pytest.importorskip("nncf", reason="not installed; the extra `openvino` has it")
    report = export_model(store_model(tmp_path / "model"), "openvino", str(tmp_path / "out"), int8=int8)
    assert report.agreement.within_tolerance and (report.int8 is None or report.int8.same_class > 0.8)


@pytest.mark.slow
def test_executorch_takes_one_size_image_by_image(tmp_path):
    if importlib.util.find_spec("executorch") is None:
        pytest.skip("executorch is not installed: it is large, and no extra has it")
    checkpoint = store_model(tmp_path / "model")
    report = export_model(checkpoint, "executorch", str(tmp_path / "out"))
    assert report.agreement.within_tolerance and report.takes == "one image of 64x64 pixels"
    graph, model = AutoModel.from_pretrained(tmp_path / "out"), AutoModel.from_pretrained(checkpoint).eval()
    pixel_values = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = model(pixel_values).masks_queries_logits
    torch.testing.assert_close(graph(pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="takes 64x64 alone"):
        graph(torch.randn(1, 3, 64, 96))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["eomt_ladder"])
def test_rows_with_a_pixel_decoder_take_one_size(tiny_model, tmp_path, model_type):
    tiny_model().save_pretrained(tmp_path / "model")
    EomtImageProcessor(size={"shortest_edge": 96, "longest_edge": 96}).save_pretrained(tmp_path / "model")
    report = export_model(str(tmp_path / "model"), "pt2", str(tmp_path / "out"))
    assert report.agreement.within_tolerance and report.takes == "any number of images of 96x96 pixels"
    graph = ExportedMaskClassifier.from_pretrained(tmp_path / "out", trust_remote_code=True)
    assert len(graph(torch.randn(3, 3, 96, 96)).masks_queries_logits) == 3
    with pytest.raises(ValueError, match="takes 96x96 alone"):
        graph(torch.randn(1, 3, 64, 64))


def test_a_graph_does_not_hold_the_paths_of_the_machine(semantic):
    assert not any(b"/mask_classifier.py" in path.read_bytes() for path in Path(semantic[1]).iterdir())


def test_the_processors_settings_are_beside_the_graph(semantic):
    checkpoint, exported, _ = semantic
    stored = [EomtImageProcessor.from_pretrained(folder).to_dict() for folder in (checkpoint, exported)]
    assert stored[0] == stored[1]
