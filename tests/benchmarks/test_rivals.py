"""The table of rivals: a row a model, with scores, size and times."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.scenes import write_scenes

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rivals.py"


@pytest.fixture
def main():
    spec = spec_from_file_location("rivals", BENCHMARK)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_it_prints_a_row_for_each_model_and_writes_them(main, tmp_path, monkeypatch, capsys):
    write_scenes(tmp_path / "data", train=1, val=2)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=5, image_size=64)
    model = EomtForUniversalSegmentation(EomtConfig(**sizes, id2label=dict(enumerate(scenes.LABELS.names))))
    model.set_attn_mask_probs([0.0])
    model.save_pretrained(tmp_path / "model")
    EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(tmp_path / "model")
    words = ["rivals.py", "--data", tmp_path / "data", "--task", "panoptic", "--images", "2", "--output", tmp_path / "rivals.json"]
    monkeypatch.setattr(sys, "argv", list(map(str, [*words, "--checkpoints", tmp_path / "model", "--stock", tmp_path / "model"])))
    main()
    shown, rows = capsys.readouterr().out.splitlines(), json.loads((tmp_path / "rivals.json").read_text())
    assert list(rows) == [f"{tmp_path}/model", f"{tmp_path}/model, transformers' code"]
    assert all(row["latency"]["images"] == 2 and row["latency"]["forward_ms"] > 0 and "pq" in row for row in rows.values())
    assert len({row["parameters"] for row in rows.values()}) == 1
    assert shown[0].startswith("2 images are timed in 1 process on the CPU")
    heads = [
        "PQ",
        "SQ",
        "RQ",
        "PQ things",
        "PQ stuff",
        "million parameters",
        "forward ms",
        "post processing ms",
        "images per second",
    ]
    assert all(head in shown[1] for head in heads)
    assert [line.startswith(name) for line, name in zip(shown[2:], rows, strict=True)] == [True, True]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    with pytest.raises(SystemExit):
        main()
    assert "nothing to compare; give --checkpoints or --stock" in capsys.readouterr().err
