"""Speed of the ladder: what is written and printed, with times that are given."""

import json

import ladder_speed
import torch
from figure1 import read_measured


def test_several_architectures_are_written_to_one_file(monkeypatch, tmp_path, capsys):
    rows = dict(zip(ladder_speed.PAPER, [0.4, 0.3, 0.2, 0.2, 0.2, 0.1], strict=True))
    monkeypatch.setattr(ladder_speed, "measure", lambda *_: rows)
    output = tmp_path / "speed.json"
    ladder_speed.main(["--architecture", "small", "base", "--image_size", "64", "--output", str(output)])
    run = json.loads(output.read_text())
    assert run["seconds"] == {"small": rows, "base": rows} and run["image_size"] == 64
    assert run["dtype"] in ("float32", "bfloat16") and run["machine"]
    assert read_measured(output) == run
    printed = capsys.readouterr().out
    assert printed.count("EoMT is faster by  4.0, in the paper by  4.4") == 2


def test_every_row_is_a_forward_pass(monkeypatch):
    monkeypatch.setattr(ladder_speed, "timed", lambda passes, *_: {row: call() and 1.0 for row, call in passes.items()})
    seconds = ladder_speed.measure("small", 64, 1, torch.device("meta"), torch.float32)
    assert list(seconds) == list(ladder_speed.PAPER)
