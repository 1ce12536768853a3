"""The command `eomt serve`: its options, what it writes, and its errors."""

import sys

import pytest

from eomt.train_scripts.serve import MOST_EXAMPLES, example_files, main
from eomt.train_scripts.web import app, space


def test_examples_are_a_picture_or_the_first_of_a_folder(tmp_path):
    for number in range(MOST_EXAMPLES + 2):
        (tmp_path / f"{number:02d}.PNG").touch()
    (tmp_path / "00.txt").touch()
    names = [path.name for path in example_files(str(tmp_path))]
    assert names == [f"{number:02d}.PNG" for number in range(MOST_EXAMPLES)]
    assert example_files(str(tmp_path / "03.PNG")) == [tmp_path / "03.PNG"] and example_files(None) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no pictures"):
        example_files(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint", "./nothing"], "checkpoint='./nothing': no such folder"),
        (["--checkpoint", "a/b", "--examples", "nothing"], "examples='nothing': no such file or folder"),
        (["--checkpoint", "a/b", "--port", "70000"], "port=70000 must lie in 1..65535"),
        (["--checkpoint", "a/b", "--task", "depth"], "task"),
        (["--checkpoint", "a/b", "--space", "new", "--trust_remote_code"], "trust_remote_code=True has no effect with space='new'"),
    ],
)
def test_a_wrong_option_is_answered_in_a_line(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.strip().count("\n") == 0


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit):
        main(["--checkpoint", "org/name"])
    assert capsys.readouterr().err == "error: the demo app needs gradio; pip install 'eomt-transformers[serve]'\n"


def test_it_serves_or_writes_a_space(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(app, "import_gradio", lambda: None)
    monkeypatch.setattr(app, "build_app", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(app, "launch", lambda _, **settings: calls.append(settings))
    monkeypatch.setattr(space, "write_space", lambda *arguments: calls.append(arguments))
    main(["--checkpoint", str(tmp_path), "--task", "semantic", "--port", "8000"])
    main(["--checkpoint", str(tmp_path), "--trust_remote_code"])
    main(["--checkpoint", str(tmp_path), "--space", "space"])
    served = {"server_name": "127.0.0.1", "server_port": 8000}
    trusted = (str(tmp_path), [], None, True), served | {"server_port": 7860}
    assert calls == [(str(tmp_path), [], "semantic", False), served, *trusted, (str(tmp_path), "space", [], None)]
    assert "hf upload USER/NAME space --repo-type space" in capsys.readouterr().out
