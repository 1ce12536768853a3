"""The command that prepares a dataset; what it does is in data/test_preparation.py."""

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import count_rows
from eomt.train_scripts.data.prepare_options import class_names
from eomt.train_scripts.prepare import main


@pytest.fixture
def folder(tmp_path):
    """Ten photos with masks of two classes and void."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(10):
        Image.fromarray(np.full((2, 4, 3), 20 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        mask = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_what_would_be_ignored_is_refused(folder, capsys):
    for words, said in (
        (["--images", "x", "--annotations", "y", "--classes", "name.txt"], "name.txt: no such file. Give names with commas"),
        (["--source", str(folder), "--split", "val"], "--split val: all splits of --source are prepared"),
    ):
        with pytest.raises(SystemExit):
            main([*words, "--out", str(folder / "out")])
        assert said in capsys.readouterr().err


def test_the_command_line(folder, capsys):
    (folder / "names.txt").write_text("sky\nroad\n\n")
    assert class_names(str(folder / "names.txt")) == class_names("sky, road") == ["sky", "road"]
    words = f"--source {folder} --out {folder}/out --kind semantic --classes {folder}/names.txt --void 255 11 --val_share 0.2"
    main(words.split())
    said = capsys.readouterr().out
    assert f"train: masks, images {folder}/images, annotations {folder}/masks" in said
    assert "train: 8 images" in said and "val: 2 images" in said and f"look at {folder}/out/val_samples.png" in said
    words = f"--images {folder}/images --annotations {folder}/masks --split more --out {folder}/out --kind semantic"
    main([*words.split(), "--classes", "sky,road", "--void", "255"])
    assert count_rows(folder / "out", "more") == 10


def test_the_command_line_takes_a_source_or_a_pair(folder, capsys):
    for words in ([], ["--source", str(folder), "--images", "x"], ["--images", "x"]):
        with pytest.raises(SystemExit):
            main([*words, "--out", str(folder / "out")])
        assert "give either --source, or --images and --annotations" in capsys.readouterr().err
