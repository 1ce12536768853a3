"""The demo from its first to its last step, in little."""

import sys

import pytest
from PIL import Image

from eomt.train_scripts import demo


@pytest.mark.slow
def test_it_trains_scores_draws_and_serves(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(tmp_path), "--scenes", "100", "--minutes", "0.1"])
    demo.main()
    shown = capfd.readouterr().out
    assert "before training" in shown and "after training" in shown
    assert "transformers.models.eomt.modeling_eomt on" in shown  # served without this package
    assert Image.open(tmp_path / "picture.png").width > 500
    assert (tmp_path / "model" / "model.safetensors").is_file()
