"""What `from_pretrained` does beyond transformers' own, through every door: class, AutoModel, a configuration given."""

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModel, AutoModelForUniversalSegmentation

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.encoders.parts import resample_positions

DOORS = {
    "class": EomtForUniversalSegmentation.from_pretrained,
    "AutoModel": AutoModel.from_pretrained,
    "AutoModelForUniversalSegmentation": AutoModelForUniversalSegmentation.from_pretrained,
    "a configuration": lambda path, **changes: EomtForUniversalSegmentation.from_pretrained(
        path, config=EomtConfig.from_pretrained(path, **changes)
    ),
    "a configuration's path": lambda path, **changes: EomtForUniversalSegmentation.from_pretrained(path, config=path, **changes),
}


@pytest.fixture
def saved(tiny_model, tmp_path) -> tuple[EomtForUniversalSegmentation, Path]:
    model = tiny_model(probs=[0.9995, 0.2])
    model.save_pretrained(tmp_path)
    return model, tmp_path


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("image_size", [(32, 96), 128])
def test_another_image_size_resizes_the_positions(door, image_size, saved):
    model, path = saved
    resized = DOORS[door](path, image_size=image_size)
    assert type(resized) is EomtForUniversalSegmentation
    assert resized.config.image_size == image_size
    expected = resample_positions(model.embeddings.position_embeddings.weight, (4, 4), resized.config.grid_size)
    assert torch.equal(resized.embeddings.position_embeddings.weight, expected)
    height, width = resized.config.image_size_hw
    pixel_values = torch.randn(1, 3, height, width)
    with torch.no_grad():  # resizing beforehand is what the unresized model does by itself
        torch.testing.assert_close(resized(pixel_values).masks_queries_logits, model(pixel_values).masks_queries_logits)


@pytest.mark.every_encoder
def test_every_encoder_takes_another_image_size_classes_and_precision(saved, tmp_path):
    model, path = saved
    resized = AutoModel.from_pretrained(path, image_size=(32, 96), dice_weight=7.0)
    assert type(resized) is type(model) and (resized.config.image_size, resized.config.dice_weight) == ((32, 96), 7)
    resized.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again", config=type(model.config).from_pretrained(path))
    assert again.config.image_size == 64  # the configuration's
    pixel_values = torch.randn(1, 3, 32, 96)
    with torch.no_grad():
        expected = model(pixel_values).masks_queries_logits
        torch.testing.assert_close(resized(pixel_values).masks_queries_logits, expected, atol=1e-5, rtol=0)
    other = AutoModel.from_pretrained(path, num_labels=7, ignore_mismatched_sizes=True, dtype=torch.bfloat16)
    assert other.dtype == torch.bfloat16 and other.attn_mask_probs.dtype == torch.float32
    assert other(pixel_values).class_queries_logits.shape == (1, 8, 8)


@pytest.mark.parametrize("door", DOORS)
def test_loss_weights_given_hold(door, saved):
    model = DOORS[door](saved[1], no_object_weight=0.5, dice_weight=7.0)
    assert model.criterion.empty_weight.tolist() == [1, 1, 1, 1, 1, 0.5]
    assert model.config.dice_weight == 7


def test_the_class_weight_follows_the_configuration_whatever_was_loaded(tiny_model, segments):
    id_maps, segment_ids, class_labels, _ = segments([3])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=torch.tensor([1]))
    pixel_values = torch.randn(1, 3, 64, 64)
    losses = {}
    for weight in (0.1, 0.5):
        model = tiny_model(no_object_weight=weight)
        losses[weight] = model(pixel_values, **labels).loss
        other = tiny_model(no_object_weight=0.9)
        model.load_state_dict(other.state_dict())
        assert torch.equal(model(pixel_values, **labels).loss, losses[weight])
    assert losses[0.1] != losses[0.5]


@pytest.mark.parametrize("door", ["class", "AutoModel"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_probabilities_stay_exact_in_half_precision(door, dtype, saved):
    model = DOORS[door](saved[1], dtype=dtype)
    assert model.dtype == dtype
    assert torch.equal(model.attn_mask_probs, torch.tensor([0.9995, 0.2]))
    model.set_attn_mask_probs([0.9995, 0.3])
    assert torch.equal(model.to(torch.float32).to(dtype).attn_mask_probs, torch.tensor([0.9995, 0.3]))


def test_they_survive_saving_in_half_precision(tiny_model, tmp_path):
    model = tiny_model(probs=[0.9995, 0.1]).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    again = EomtForUniversalSegmentation.from_pretrained(tmp_path)
    assert again.dtype == torch.bfloat16
    assert torch.equal(again.attn_mask_probs, torch.tensor([0.9995, 0.1]))


@pytest.mark.parametrize("door", ["class", "AutoModel"])
def test_another_set_of_classes(door, saved, segments):
    _, path = saved
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        DOORS[door](path, num_labels=7)
    model, info = DOORS[door](path, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True, image_size=(32, 96))
    assert {name for name, *_ in info["mismatched_keys"]} == {
        "class_predictor.weight",
        "class_predictor.bias",
        "criterion.empty_weight",
    }
    assert model.criterion.empty_weight.tolist() == pytest.approx([1] * 7 + [0.1])
    id_maps, segment_ids, _, _ = segments([2])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=[torch.tensor([5, 6])])
    assert model(torch.randn(1, 3, 32, 96), **labels).loss.isfinite()


@pytest.mark.parametrize(
    "changes, anew",
    [
        (dict(num_queries=5), {"query.weight"}),
        (dict(patch_size=8), {"embeddings.position_embeddings.weight", "embeddings.patch_embeddings.projection.weight"}),
        (dict(num_register_tokens=2), {"embeddings.register_tokens"}),
    ],
)
def test_what_does_not_fit_starts_anew_and_the_rest_is_loaded(changes, anew, saved):
    model, path = saved
    other = EomtForUniversalSegmentation.from_pretrained(path, **changes, ignore_mismatched_sizes=True)
    torch.manual_seed(0)
    fresh = dict(EomtForUniversalSegmentation(other.config).named_parameters())
    loaded = dict(model.named_parameters())
    for name, parameter in other.named_parameters():
        if name in anew:
            assert parameter.std().item() == pytest.approx(fresh[name].std().item(), rel=0.3), name
        else:
            assert torch.equal(parameter, loaded[name]), name


def test_masks_of_another_number_of_blocks_are_off(saved, tmp_path):
    model = EomtForUniversalSegmentation.from_pretrained(saved[1])
    model.set_attn_mask_probs([1.0] * model.config.num_blocks)
    model.save_pretrained(tmp_path)
    other = EomtForUniversalSegmentation.from_pretrained(tmp_path, num_blocks=1, ignore_mismatched_sizes=True)
    assert other.attn_mask_probs.tolist() == [0.0] and model.config.num_blocks != 1


@pytest.mark.parametrize("door", ["class", "AutoModel"])
def test_the_attention_asked_for_is_kept_when_resizing(door, saved):
    model = DOORS[door](saved[1], image_size=(32, 96), attn_implementation="eager")
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("ignore_mismatched_sizes", [False, True])
def test_a_folder_with_weights_alone_takes_a_configuration(ignore_mismatched_sizes, saved):
    model, path = saved
    (path / "config.json").unlink()
    for load in (EomtForUniversalSegmentation.from_pretrained, AutoModel.from_pretrained):
        again = load(path, config=model.config, ignore_mismatched_sizes=ignore_mismatched_sizes)
        assert torch.equal(again.embeddings.position_embeddings.weight, model.embeddings.position_embeddings.weight)


def test_the_configuration_given_is_not_changed(saved):
    config = EomtConfig.from_pretrained(saved[1], image_size=(32, 96))
    model = EomtForUniversalSegmentation.from_pretrained(saved[1], config=config)
    assert config.image_size == model.config.image_size == (32, 96)


def test_a_size_off_the_patch_grid_is_refused(saved):
    model, path = saved
    for load in DOORS.values():
        with pytest.raises(StrictDataclassError, match="image_size=100.*patch_size 16.*use 96 or 112"):
            load(path, image_size=100)
    with pytest.raises(StrictDataclassError, match="width 100.*use 96"):
        model.resize_position_embeddings((64, 100))
    assert model.config.image_size == 64


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "changes",
    [
        dict(id2label={1: "a", 2: "b"}),
        dict(num_blocks=7),
        dict(num_attention_heads=3),
        dict(class_weight=-1.0),
        dict(oversample_ratio=0.5),
        dict(image_size=64, patch_size=24),
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_built_is_refused_at_loading(door, changes, saved):
    with pytest.raises(StrictDataclassError, match=next(iter(changes))):
        DOORS[door](saved[1], **changes)


@pytest.mark.parametrize("door", ["class", "AutoModel", "a configuration's path"])
def test_an_image_size_is_checked_together_with_the_patch_size(door, saved):
    model = DOORS[door](saved[1], image_size=48, patch_size=24, dtype=torch.bfloat16, ignore_mismatched_sizes=True)
    assert model.config.grid_size == (2, 2) and model.dtype == torch.bfloat16


@pytest.mark.parametrize(("image_size", "stored"), [(np.int64(32), 32), ((np.int64(32), 96), (32, 96)), (np.array([32, 32]), 32)])
def test_sizes_may_be_numpys(saved, image_size, stored):
    model, _ = saved
    model.resize_position_embeddings(image_size)
    assert model.config.image_size == stored and model.embeddings.position_embeddings.grid_size == model.config.grid_size


@pytest.mark.every_encoder
def test_copies_and_pickles_are_independent(tiny_model):
    model = tiny_model(probs=1.0)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    pixel_values = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        masked = model(pixel_values).masks_queries_logits
        for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
            assert torch.equal(other(pixel_values).masks_queries_logits, masked)
            other.set_attn_mask_probs([0, 0])
            assert not torch.equal(other(pixel_values).masks_queries_logits, masked)
            assert torch.equal(model(pixel_values).masks_queries_logits, masked)


@pytest.mark.every_encoder
def test_on_the_meta_device(tiny_config):
    with torch.device("meta"):
        model = AutoModel.from_config(tiny_config()).train().eval()
        assert model(torch.empty(2, 3, 64, 128)).masks_queries_logits.shape == (2, 8, 16, 32)
