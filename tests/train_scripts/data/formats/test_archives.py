"""Zip files are unpacked once, safely, and removed when the dataset is there."""

import zipfile

import pytest

from eomt.train_scripts import prepare
from eomt.train_scripts.data.dataset_folder import count_rows
from eomt.train_scripts.data.formats.archives import innermost, remove_unpacked, unpacked


def zipped(path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_it_is_unpacked_once(tmp_path):
    path = zipped(tmp_path / "a.zip", {"set/x/1.txt": b"one", "__MACOSX/set/._x": b"", "set/größe.txt": b"two"})
    folder = unpacked(path, tmp_path / "out")
    assert (folder / "set/x/1.txt").read_bytes() == b"one" and (folder / "set/größe.txt").is_file()
    assert innermost(folder) == folder / "set"
    (folder / "set/x/1.txt").write_bytes(b"kept")
    assert unpacked(path, tmp_path / "out") == folder and (folder / "set/x/1.txt").read_bytes() == b"kept"
    zipped(path, {"other": b"changed"})
    assert (unpacked(path, tmp_path / "out") / "other").is_file()
    remove_unpacked(tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


def test_an_interrupted_run_begins_again(tmp_path):
    path = zipped(tmp_path / "a.zip", {"1.txt": b"one", "2.txt": b"two"})
    folder = unpacked(path, tmp_path / "out")
    (folder / ".unpacked").unlink()
    (folder / "1.txt").write_bytes(b"half")
    assert (unpacked(path, tmp_path / "out") / "1.txt").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../../evil.txt", "..\\..\\evil.txt"])
def test_nothing_is_written_outside(tmp_path, name):
    path = zipped(tmp_path / "a.zip", {"fine.txt": b"", name: b""})
    with pytest.raises(ValueError, match="would lie outside the folder"):
        unpacked(path, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil.txt"))


def test_other_files_and_broken_archives(tmp_path):
    assert unpacked(tmp_path, tmp_path / "out") == tmp_path
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(ValueError, match="a.zip can't be unpacked .* Download it again"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("source", [["--source", "set.zip"], ["--images", "images.zip", "--annotations", "masks.zip"]])
def test_prepare_takes_them(ten_photos, monkeypatch, capsys, source):
    monkeypatch.chdir(ten_photos)
    files = {name: sorted((ten_photos / name).iterdir()) for name in ("images", "masks")}
    for name in files:
        zipped(ten_photos / f"{name}.zip", {f"{name}/{file.name}": file.read_bytes() for file in files[name]})
    zipped(ten_photos / "set.zip", {f"set/{name}/{file.name}": file.read_bytes() for name in files for file in files[name]})
    prepare.main([*source, "--kind", "semantic", "--classes", "sky,road", "--void", "255", "--out", "out"])
    assert count_rows("out", "train") == 10 and not list(ten_photos.glob(".*"))
    assert "train: 10 images" in capsys.readouterr().out


def test_prepare_takes_one_image(ten_photos, capsys):
    words = ["--images", f"{ten_photos}/images/3.png", "--annotations", f"{ten_photos}/masks/3.png", "--out", f"{ten_photos}/out"]
    prepare.main([*words, "--classes", "sky,road", "--void", "255"])
    assert "train: 1 images" in capsys.readouterr().out
