"""`eomt convert`: the authors' files to folders that predict, and back; what can't be converted ends in one line."""

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts import convert
from eomt.weights.files import read_tensors
from eomt.weights.official import to_official
from eomt.weights.timm import from_timm


@pytest.fixture
def official_file(checkpoints, tmp_path):
    """A checkpoint for the demo's panoptic scenes in the authors' format."""
    path = tmp_path / "pytorch_model.bin"
    torch.save(to_official(EomtForUniversalSegmentation.from_pretrained(checkpoints / "panoptic")), path)
    return path


def test_a_file_becomes_a_folder_with_names_and_image_processor_and_a_file_again(
    official_file, checkpoints, few_scenes, tmp_path, capsys
):
    folder, again = tmp_path / "model", tmp_path / "again" / "street.ckpt"
    convert.main(["--checkpoint", str(official_file), "--output", str(folder), "--data", str(few_scenes)])
    assert "2 blocks of width 32" in capsys.readouterr().out
    model, trained = (EomtForUniversalSegmentation.from_pretrained(path) for path in (folder, checkpoints / "panoptic"))
    assert all(tensor.equal(model.state_dict()[name]) for name, tensor in trained.state_dict().items())
    assert model.config.id2label == trained.config.id2label
    stored = EomtImageProcessor.from_pretrained(checkpoints / "panoptic")
    assert EomtImageProcessor.from_pretrained(folder).stuff_classes == stored.stuff_classes
    convert.main(["--checkpoint", str(folder), "--output", str(again)])
    first, last = read_tensors(official_file), read_tensors(again)
    assert first.keys() == last.keys() and all(last[name].equal(first[name]) for name in first)


def test_positions_are_resized_if_asked_for(official_file, tmp_path):
    convert.main(["--checkpoint", str(official_file), "--output", str(tmp_path / "model"), "--image_size", "96"])
    assert EomtForUniversalSegmentation.from_pretrained(tmp_path / "model").config.image_size == 96


WRONG = {
    "no file": (["--checkpoint", "none.bin", "--output", "{out}"], "none.bin': no such file"),
    "two folders": (["--checkpoint", "org/name", "--output", "{out}"], "one must be a file of the authors' repository"),
    "two files": (["--checkpoint", "{file}", "--output", "{out}.bin"], "one must be a file of the authors' repository"),
    "output is there": (["--checkpoint", "{file}", "--output", "{there}"], "is there already; choose another"),
    "other classes": (
        ["--checkpoint", "{file}", "--output", "{out}", "--task", "instance", "--data", "{data}"],
        "the checkpoint 14",
    ),
    "no EoMT": (["--checkpoint", "{vit}", "--output", "{out}"], "has no network.q.weight"),
    "no base": (
        ["--checkpoint", "{file}", "--output", "{out}", "--base", "vit_larg_patch16_dinov3"],
        "base='vit_larg_patch16_dinov3' is no model of timm",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_cannot_be_converted_leaves_nothing(official_file, few_scenes, tmp_path, fault, capsys):
    words, message = WRONG[fault]
    torch.save({"cls_token": torch.zeros(1)}, tmp_path / "vit.pth")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.txt").touch()
    names = {
        "file": official_file,
        "out": tmp_path / "out",
        "there": tmp_path / "there",
        "data": few_scenes,
        "vit": tmp_path / "vit.pth",
    }
    with pytest.raises(SystemExit) as ended:
        convert.main([word.format(**names) for word in words])
    assert ended.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.bin").exists()


def test_differences_of_a_dinov3_are_told_from_a_whole_file(tmp_path, capsys):
    """The released encoder is a file with timm's names, as it may be one of the Hub."""
    torch.manual_seed(0)
    vit = timm.create_model("vit_small_patch16_dinov3", pretrained=False, num_classes=0, embed_dim=128, depth=2, num_heads=2)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    base = from_timm(tmp_path / "vit.safetensors", image_size=64, num_labels=3, num_queries=5, num_blocks=1)
    model = copy.deepcopy(base)
    with torch.no_grad():
        model.layernorm.weight.add_(0.25)
    model.save_pretrained(tmp_path / "model")
    given = ["--base", str(tmp_path / "vit.safetensors")]
    convert.main(["--checkpoint", str(tmp_path / "model"), "--output", str(tmp_path / "delta.bin"), *given])
    back = ["--checkpoint", str(tmp_path / "delta.bin"), "--output", str(tmp_path / "again"), "--image_size", "64"]
    with pytest.raises(SystemExit):
        convert.main(back)
    assert "differences to a released DINOv3: give that encoder as base" in capsys.readouterr().err
    convert.main([*back, *given])
    again = AutoModel.from_pretrained(tmp_path / "again").state_dict()
    assert all(torch.allclose(tensor, again[name], atol=1e-6) for name, tensor in model.state_dict().items())
