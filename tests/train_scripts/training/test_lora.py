"""LoRA in whole runs: rates, masking, what is stored, resuming, averages, and a wrapper of PEFT that a program brings itself."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import AutoModel, AutoModelForUniversalSegmentation, BitsAndBytesConfig, pipeline
from transformers.models.eomt import EomtForUniversalSegmentation as StockModel

from eomt import EomtForUniversalSegmentation
from eomt.configuration.architectures import LADDERS
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts import train
from eomt.train_scripts.training.adapters import FOLDER, Adapters
from eomt.train_scripts.training.building import build_model
from eomt.train_scripts.training.lora import with_lora
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.validation import Validation

LORA = ["--lora", "--lora_rank", "2"]
RATES = ["--layer_decay", "0.5", "--learning_rate", "1e-2", "--max_grad_norm", "1"]
RATES += ["--head_warmup", "0.2", "--encoder_warmup", "0.2", "--max_steps", "4"]
KEPT = ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "0", "--logging_steps", "2"]


@pytest.fixture(scope="module")
def start(tiny_words, tmp_path_factory) -> Path:
    """A checkpoint that is masked in all blocks, trained by one step on one class fewer than the data of the other runs."""
    folder = tmp_path_factory.mktemp("start")
    train.run([*tiny_words, "--output_dir", str(folder), "--eval_split", "", "--masking", "always", "--task", "instance"])
    return folder


@pytest.fixture(scope="module")
def plain_words(tiny_words, start) -> list[str]:
    """Of a run from there without adapters."""
    at = tiny_words.index("--config")
    return [*tiny_words[:at], *tiny_words[at + 2 :], "--checkpoint", str(start), *RATES]


@pytest.fixture(scope="module")
def words(plain_words) -> list[str]:
    return [*plain_words, *LORA]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory) -> tuple[EomtTrainer, Path]:
    """A run with averages and a checkpoint in its middle, which is never masked."""
    folder = tmp_path_factory.mktemp("whole")
    return train.run([*words, *KEPT, "--ema_decay", "0.9", "--masking", "never", "--output_dir", str(folder)]), folder


def masks_of(model: torch.nn.Module) -> torch.Tensor:
    torch.manual_seed(0)
    with torch.inference_mode():
        return model.eval()(torch.randn(1, 3, 112, 112)).masks_queries_logits


def assert_layer_wise(trainer: EomtTrainer, size_of_head: int) -> None:
    groups = trainer.optimizer.param_groups
    rates = [(group["encoder"], group["initial_lr"]) for group in groups]
    sizes = [sum(map(torch.numel, group["params"])) for group in groups]
    block = 2 * (4 * 64 + 2 * 160)  # of rank 2: four projections 32 -> 32 and two linear layers between 32 and 128
    assert rates == [(True, 1e-2), (True, 5e-3), (True, 2.5e-3), (False, 1e-2)] and sizes == [block] * 3 + [size_of_head]
    assert trainer.pretrained  # so that the encoder's groups warm up later


def size_of_head(model: MaskClassifier) -> int:
    heads = (model.query, model.upscale_block, model.mask_head, model.class_predictor)
    return sum(parameter.numel() for head in heads for parameter in head.parameters())


def test_rates_go_by_layer_and_masking_reaches_the_model(whole):
    trainer, folder = whole
    assert_layer_wise(trainer, size_of_head(AutoModel.from_pretrained(folder)))
    assert not any("block" in name for entry in trainer.state.log_history for name in entry if name.startswith("loss_"))


def test_a_wrapper_that_a_program_brings_is_trained_alike(plain_words, tmp_path):
    """Also its modules that are saved whole keep the heads' rate, and one block's loss is not computed where masks are off."""

    def wrapped(*args):
        model = build_model(*args)
        return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", exclude_modules="mask_head.*|class_predictor"))

    trainer = train.run([*plain_words, "--masking", "never", "--eval_split", "", "--output_dir", str(tmp_path)], make_model=wrapped)
    assert [group["initial_lr"] for group in trainer.optimizer.param_groups] == [1e-2, 5e-3, 2.5e-3]
    assert not any("block" in name for entry in trainer.state.log_history for name in entry if name.startswith("loss_"))
    stored = StockModel.from_pretrained(tmp_path)
    with trainer.adapters.merged():
        torch.testing.assert_close(masks_of(stored), masks_of(trainer.model))


def test_the_output_folder_loads_in_stock_and_the_adapter_by_itself(whole):
    """Classes and probabilities are the run's, although the base has one class fewer and is masked."""
    trainer, folder = whole
    expected = masks_of(AutoModelForUniversalSegmentation.from_pretrained(folder))
    torch.testing.assert_close(masks_of(StockModel.from_pretrained(folder)), expected)
    for loaded in (
        AutoModelForUniversalSegmentation.from_pretrained(folder / FOLDER),
        EomtForUniversalSegmentation.from_pretrained(folder / FOLDER),
        pipeline("image-segmentation", model=str(folder / FOLDER)).model,
    ):
        assert not loaded.attn_mask_probs.any() and loaded.config.id2label == trainer.model.config.id2label
        assert all(parameter.requires_grad for parameter in loaded.parameters())
        torch.testing.assert_close(masks_of(loaded), expected)


@pytest.mark.parametrize("dtype", [{"dtype": torch.bfloat16}, {"dtype": "bfloat16"}, {"torch_dtype": "bfloat16"}], ids=str)
def test_arguments_of_loading_hold_for_an_adapter(whole, dtype):
    model = AutoModel.from_pretrained(whole[1] / FOLDER, **dtype, attn_implementation="eager")
    assert model.dtype == torch.bfloat16 and model.attn_mask_probs.dtype == torch.float32
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_map": "auto"}, "device_map='auto' is not for an adapter"),
        ({"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}, "BitsAndBytesConfig is not for an adapter"),
        ({"dtype": "bf16"}, "dtype='bf16' is no data type of PyTorch; give one"),
    ],
)
def test_arguments_that_an_adapter_can_not_follow_are_refused(whole, options, message):
    with pytest.raises(ValueError, match=message):
        EomtForUniversalSegmentation.from_pretrained(whole[1] / FOLDER, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_blokcs": 1}, "num_blokcs=1 is no argument for an adapter, nor a field of its configuration; leave it out"),
        ({"state_dict": {}}, "state_dict={} is no argument for an adapter"),
        ({"num_labels": 40}, r"num_labels=40: '.*' is an adapter, whose weights have the shapes of num_labels=\d+; leave it out"),
        ({"id2label": {0: "a"}, "ignore_mismatched_sizes": True}, "num_labels=1: .* is an adapter"),
        ({"num_queries": 3, "dice_weight": 7.0}, "num_queries=3: .* of num_queries="),
        ({"num_register_tokens": 2}, "num_register_tokens=2: .* of num_register_tokens="),
    ],
)
def test_arguments_without_effect_on_an_adapter_and_other_shapes_are_refused(whole, options, message):
    for load in (EomtForUniversalSegmentation.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ValueError, match=message):
            load(whole[1] / FOLDER, **options)


def test_fields_given_hold_for_an_adapter(whole):
    names = {index: f"class {index}" for index in whole[0].model.config.id2label}
    for door in ({}, {"config": str(whole[1] / FOLDER)}):
        model = EomtForUniversalSegmentation.from_pretrained(
            whole[1] / FOLDER, id2label=names, image_size=32, dice_weight=7.0, num_labels=len(names), **door
        )
        assert model.config.id2label == names and model.embeddings.grid_size == (2, 2) and model.config.dice_weight == 7


def test_peft_itself_loads_the_adapter(whole, start):
    trainer, folder = whole
    base = EomtForUniversalSegmentation.from_pretrained(
        start, config=EomtForUniversalSegmentation.config_class.from_pretrained(folder), ignore_mismatched_sizes=True
    )
    assert json.loads((folder / FOLDER / "adapter_config.json").read_text())["base_model_name_or_path"] == str(start)
    adapted = PeftModel.from_pretrained(base, folder / FOLDER)
    assert not base.attn_mask_probs.any()
    torch.testing.assert_close(masks_of(adapted), masks_of(AutoModel.from_pretrained(folder)), atol=1e-5, rtol=1e-5)


def test_averages_of_the_adapter_are_stored_and_the_trained_weights_beside(whole):
    trainer, folder = whole
    name = "layers.2.attention.q_proj.lora_A"
    trained = load_file(folder / "checkpoint-4/training_weights.safetensors")
    average = load_file(folder / "checkpoint-4" / FOLDER / "adapter_model.safetensors")[f"base_model.model.{name}.weight"]
    assert not torch.equal(trained[f"{name}.default.weight"], average)
    torch.testing.assert_close(average, dict(trainer.model.named_parameters())[f"{name}.default.weight"].cpu())
    assert not any("base_layer" in key or "embeddings" in key for key in trained)


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(words, whole, tmp_path):
    first, folder = whole
    resume = ["--resume_from_checkpoint", str(folder / "checkpoint-2"), "--ema_decay", "0.9", "--masking", "never"]
    train.run([*words, *KEPT, *resume, "--output_dir", str(tmp_path)])
    for name in ("model.safetensors", f"{FOLDER}/adapter_model.safetensors", "checkpoint-4/training_weights.safetensors"):
        torch.testing.assert_close(load_file(tmp_path / name), load_file(folder / name), atol=0, rtol=0)


def test_the_best_checkpoint_is_loaded_with_its_adapter(words, tmp_path, monkeypatch):
    scores = iter([50.0, 20.0, 30.0])
    monkeypatch.setattr(Validation, "score", lambda *_, **__: {"pq": next(scores)})
    best = ["--eval_strategy", "steps", "--eval_steps", "2", "--load_best_model_at_end", "true"]
    train.run([*words, *KEPT, *best, "--output_dir", str(tmp_path)])
    for name in ("model.safetensors", f"{FOLDER}/adapter_model.safetensors"):
        torch.testing.assert_close(load_file(tmp_path / name), load_file(tmp_path / "checkpoint-2" / name), atol=0, rtol=0)


def test_a_run_is_not_resumed_with_adapters_where_it_began_without(plain_words, whole, tmp_path):
    with pytest.raises(ValueError, match="of a run with lora, which one without can't go on from"):
        new = ["--output_dir", str(tmp_path), "--ema_decay", "0.9"]
        train.run([*plain_words, *new, "--resume_from_checkpoint", str(whole[1] / "checkpoint-2")])


def test_overwriting_removes_the_adapter_too(words, plain_words, tmp_path):
    train.run(
        [
            *words,
            "--max_steps",
            "1",
            "--eval_split",
            "",
            "--head_warmup",
            "0",
            "--encoder_warmup",
            "0",
            "--output_dir",
            str(tmp_path),
        ]
    )
    assert (tmp_path / FOLDER / "config.json").is_file()
    train.run([*plain_words, "--eval_split", "", "--overwrite", "--output_dir", str(tmp_path)])
    assert not (tmp_path / FOLDER).exists()


def test_the_card_names_the_adapter_and_its_rank(whole):
    card = (whole[1] / "README.md").read_text()
    assert "Trained by LoRA: " in card and "\n- lora\n" in card and "lora_rank: 2" in card and str(whole[1].parent) not in card


@pytest.mark.every_encoder
@pytest.mark.parametrize("frozen", [0, -1])
def test_merging_changes_no_output_and_is_undone(tiny_model, model_type, frozen):
    """In every encoder: adapters are in all blocks that aren't frozen, and whatever is no encoder is trained."""
    is_ladder = model_type in [known.model_type for known in LADDERS]
    model = tiny_model(**({"row": 2} if is_ladder else {}))
    model.freeze_encoder(0 if is_ladder else frozen)
    wrapper = with_lora(model, ModelArguments(checkpoint="start", lora=True, lora_rank=2))
    adapters = Adapters(wrapper)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[1] for name in names if "lora_A" in name and name.startswith("layers.")} == set(
        "0123" if is_ladder or not frozen else "23"
    )
    assert all("lora_" in name or model.blocks_above(name) is None for name in names)
    heads = {name.split(".")[0] for name, _ in model.named_parameters() if model.blocks_above(name) is None}
    assert {name.split(".")[0] for name in names} == heads | {"layers"}
    before, x = {name: value.clone() for name, value in model.state_dict().items()}, torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(x)
        with adapters.merged():
            assert not any("lora" in name or "modules_to_save" in name for name in model.state_dict())
            merged = model(x)
    torch.testing.assert_close(merged.class_queries_logits, expected.class_queries_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dict(model.state_dict()), before, atol=0, rtol=0)


def test_an_adapter_of_a_vit_of_timm_loads_by_itself(tiny_words, vit_file, tmp_path):
    timm = ["--timm_model", str(vit_file), "--config", json.dumps({"num_blocks": 1, "num_queries": 9, "train_num_points": 64})]
    train.run([*tiny_words, *timm, *LORA, *RATES, "--eval_split", "", "--output_dir", str(tmp_path)])
    torch.testing.assert_close(
        dict(AutoModel.from_pretrained(tmp_path / FOLDER).state_dict()), dict(AutoModel.from_pretrained(tmp_path).state_dict())
    )


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory) -> Path:
    """A ViT with timm's names, two blocks of 64 pixels."""
    torch.manual_seed(0)
    vit = VisionTransformer(img_size=64, patch_size=16, embed_dim=64, depth=2, num_heads=1, num_classes=0, init_values=0.1)
    path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in vit.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(lora=True), "lora=True adapts pretrained weights; give checkpoint or timm_model"),
        (dict(lora_rank=4), "lora_rank=4 has no effect without lora"),
        (dict(lora=True, checkpoint="x", lora_rank=0), "lora_rank=0 must be at least 1"),
        (dict(lora=True, checkpoint="x", lora_alpha=-1.0), "lora_alpha=-1.0 must be positive"),
        (dict(lora=True, checkpoint="x", lora_targets=["heads"]), "lora_targets='heads'"),
    ],
)
def test_wrong_options_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ModelArguments(**fields)


def test_freezing_every_block_leaves_nothing_to_adapt(tiny_model):
    model = tiny_model()
    model.freeze_encoder(4)
    with pytest.raises(ValueError, match="no block is left for adapters"):
        with_lora(model, ModelArguments(checkpoint="x", lora=True, frozen_blocks=4))


def test_an_adapter_without_its_base_is_named_in_the_error(whole, tmp_path):
    copy = shutil.copytree(whole[1] / FOLDER, tmp_path / "copy")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(OSError, match="is an adapter of base_model_name_or_path="):
        AutoModel.from_pretrained(copy)


def test_without_peft_one_line_says_what_to_install(whole, tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    for use in (
        lambda: with_lora(tiny_model(), ModelArguments(checkpoint="x", lora=True)),
        lambda: EomtForUniversalSegmentation.from_pretrained(whole[1] / FOLDER),
    ):
        with pytest.raises(ImportError, match=r"PEFT.* is not installed: pip install 'eomt-transformers\[lora\]'"):
            use()
