"""Fetching ONNX Runtime Web, from a registry that is a folder."""

import base64
import hashlib
import io
import tarfile

import pytest

from eomt.train_scripts.web import runtime
from eomt.train_scripts.web.runtime import FILES, VERSION, main, runtime_folder


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with a package, and an empty cache."""
    folder = tmp_path / "registry/onnxruntime-web/-"
    folder.mkdir(parents=True)
    with tarfile.open(folder / f"onnxruntime-web-{VERSION}.tgz", "w:gz") as package:
        for name in (*FILES, "unused.js"):
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            package.addfile(member, io.BytesIO(name.encode()))
    monkeypatch.setenv("npm_config_registry", (tmp_path / "registry").as_uri() + "/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (archive,) = folder.iterdir()
    monkeypatch.setattr(runtime, "SHA512", base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode())
    return archive


def test_files_are_fetched_once_and_kept(registry, capsys):
    folder = runtime_folder()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: name for name in FILES}
    registry.unlink()
    main([])
    assert capsys.readouterr().out == f"{folder}\n"


def test_another_archive_than_was_published_is_refused(registry, monkeypatch):
    monkeypatch.setattr(runtime, "SHA512", base64.b64encode(bytes(64)).decode())
    with pytest.raises(OSError, match="is not the archive that was published"):
        runtime_folder()


def test_without_a_network_one_line_says_what_to_do(registry, capsys):
    registry.unlink()
    with pytest.raises(SystemExit):
        main([])
    error = capsys.readouterr().err
    assert error.startswith("error: ONNX Runtime Web could not be fetched from file:") and error.count("\n") == 1
    assert "give the unpacked folder package/dist as runtime" in error


def test_a_given_folder_must_have_the_files(tmp_path):
    first, second = FILES
    (tmp_path / first).touch()
    with pytest.raises(ValueError, match=f"lacks {second}"):
        runtime_folder(tmp_path)
    (tmp_path / second).touch()
    assert runtime_folder(tmp_path) == tmp_path
