"""The benchmark of exports: its table, and how it judges 8-bit weights."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from eomt.train_scripts.data.scenes import LABELS, write_scenes
from eomt.train_scripts.evaluation.tasks import task_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("export")
    sys.modules.pop("export", None)


def test_ratios_are_of_each_photo_and_a_bar_is_met_by_both_or_not(benchmark):
    eager = {"megabytes": 4.0, "seconds": [1.0, 2.0, 8.0], "score": 60.0}
    name = "ONNX Runtime, int8 by channel"
    records = {benchmark.EAGER: eager, name: {"megabytes": 1.0, "seconds": [0.5, 1.4, 9.0], "score": 59.8}}
    assert benchmark.ratio(records, name) == pytest.approx(0.7)
    assert benchmark.table(records, "mIoU").splitlines()[-1] == f"| {name} | 1.0 | 1400 | 0.70 | 59.80 |"
    assert benchmark.verdicts(records, "mIoU").endswith("mIoU -0.20, bar of 0.8 x eager and -0.3 met")
    records[name]["score"] = 59.6
    assert benchmark.verdicts(records, "mIoU").endswith("not met")


def test_eager_is_timed_and_scored_beside_what_is_asked_for(benchmark, tiny_model, tmp_path, monkeypatch, capsys):
    write_scenes(tmp_path / "data", train=1, val=3)
    model = tiny_model(num_labels=len(LABELS))
    model.config.id2label = dict(enumerate(LABELS.names))
    model.save_pretrained(tmp_path / "model")
    task_of("panoptic").processor(64, LABELS).save_pretrained(tmp_path / "model")
    words = (
        f"--checkpoint {tmp_path / 'model'} --data {tmp_path / 'data'} --task panoptic --out {tmp_path / 'out'} --photos 2 --rows"
    )
    monkeypatch.setattr(sys, "argv", ["export.py", *words.split(), benchmark.EAGER])
    benchmark.main()
    assert "| PyTorch, eager | " in capsys.readouterr().out and (tmp_path / "out" / "measured.json").is_file()
