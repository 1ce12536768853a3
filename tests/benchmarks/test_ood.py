"""The benchmark of anomalies on the road: pooled figures of maps in files, its table, and its pictures. Nothing is trained here."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ood() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ood", ROOT / "benchmarks" / "ood.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "benchmarks"))  # where a script finds the modules beside it
    sys.modules["ood"] = module  # where dataclasses look their types up
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "benchmarks"))
    del sys.modules["ood"], sys.modules["arms"]


@pytest.fixture
def photos(tmp_path):
    """Two photos, of which the right half is anomalous, and maps of confidence: low there, but for a row of the second photo."""
    label = np.array([[0, 0, 2, 2]] * 2, np.uint8)
    maps = {"a": [[60000, 60000, 100, 100]] * 2, "b": [[50000, 50000, 200, 200], [200, 200, 50000, 50000]]}
    for folder in ("images", "labels", "maps"):
        (tmp_path / folder).mkdir()
    for name, levels in maps.items():
        Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray(label).save(tmp_path / "labels" / f"{name}.png")
        Image.fromarray(np.array(levels, np.uint16)).save(tmp_path / "maps" / f"{name}.png")
    return tmp_path


def test_the_pixels_of_all_photos_are_pooled(ood, photos):
    found = ood.measure(photos / "maps", photos)
    assert found["anomalous"] == 50.0 and found["fpr95"] == 50.0  # anomalies at 100, 100, 100, 100, 200, 200, 50000, 50000
    assert found["auprc"] == pytest.approx(100 * (4 / 8 * 1 + 2 / 8 * 6 / 8 + 2 / 8 * 8 / 12))
    assert found["auroc"] == pytest.approx(100 * (4 * 8 + 2 * 7 + 2 * 5) / 64)


def test_table_and_pictures(ood, photos, capsys):
    scores = {name: [ood.measure(photos / "maps", photos)] * 2 for name in ood.CONFIDENCE_NAMES}
    table = {name: {"miou": [60.0, 61.0], "scores": scores} for name in ood.ARMS}
    ood.report(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| EoMT | max | 85.4 | 85.4 85.4 | 50.0 | 87.5 | 60.5 | 89.7 |" and len(lines) == 2 + 8 + 1
    assert lines[-1] == "a confidence that knows nothing has an AUPRC of 50.0"
    ood.plot(table, photos / "plot.png")
    ood.draw({name: photos / "maps" for name in ood.ARMS}, photos, photos / "drawn.png")
    for name in ("plot", "drawn"):
        assert np.asarray(Image.open(photos / f"{name}.png").convert("L")).std() > 10
