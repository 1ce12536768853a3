"""Tensors are read from every kind of file, and nothing else is."""

import pytest
import torch
from safetensors.torch import save_file

from eomt.weights.files import read_tensors


@pytest.mark.parametrize("suffix", ["bin", "ckpt", "safetensors"])
def test_tensors_are_read_from_each_kind_of_file(tmp_path, suffix):
    stored, path = {"network.q.weight": torch.randn(2, 3)}, tmp_path / f"model.{suffix}"
    if suffix == "safetensors":
        save_file(stored, path)
    else:
        torch.save({"epoch": 3, "state_dict": stored} if suffix == "ckpt" else stored, path)
    read = read_tensors(path)
    assert read.keys() == stored.keys() and all(read[name].equal(stored[name]) for name in stored)


class Harmful:
    def __reduce__(self):
        return exec, ("raise AssertionError('code of a file was run')",)


def test_files_that_are_no_checkpoint_run_nothing_and_end_in_one_sentence(tmp_path):
    path = tmp_path / "model.bin"
    for content, message in (({"state_dict": Harmful()}, "more than tensors"), ({"a": 1}, "no state dict"), ([1], "no state dict")):
        torch.save(content, path)
        with pytest.raises(ValueError, match=message):
            read_tensors(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="model.bin"):
        read_tensors(path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="can't be read"):
        read_tensors(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="none.bin: there is no such file"):
        read_tensors(tmp_path / "none.bin")
