"""Half precision, autocast and the attention implementations."""

import pytest
import torch
from transformers.utils import is_flash_attn_2_available

from eomt import EomtForUniversalSegmentation

CUDA = torch.cuda.is_available()


@pytest.mark.every_encoder
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("counts", [[3, 1], [0, 0]], ids=["segments", "none"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_training_in_pure_half_precision(tiny_model, segments, dtype, counts, implementation):
    model = tiny_model(probs=[0.7, 0.2], attn_implementation=implementation).train().to(dtype)
    assert model.attn_mask_probs.dtype == torch.float32
    id_maps, segment_ids, class_labels, mask_labels = segments(counts)
    for labels in (dict(id_maps=id_maps, segment_ids=segment_ids), dict(mask_labels=[masks.bool() for masks in mask_labels])):
        model.zero_grad()
        outputs = model(torch.randn(2, 3, 64, 96), class_labels=class_labels, **labels)  # float32 pixels are cast
        assert outputs.masks_queries_logits.dtype == dtype and outputs.loss.dtype == torch.float32
        outputs.loss.backward()
        assert outputs.loss.isfinite()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.every_encoder
@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_under_bfloat16_autocast(tiny_model, segments, checkpointing):
    model = tiny_model(probs=[0.7, 0.2]).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    id_maps, segment_ids, class_labels, _ = segments([3, 1])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=torch.tensor([1, 2]))
    pixel_values = torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(pixel_values, **labels)
    assert outputs.masks_queries_logits.dtype == torch.bfloat16 and outputs.loss.dtype == torch.float32
    outputs.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    torch.testing.assert_close(outputs.loss, model(pixel_values, **labels).loss, rtol=0.05, atol=0)


@pytest.mark.every_encoder
@torch.no_grad()
def test_bfloat16_is_near_float32(tiny_model):
    model, pixel_values = tiny_model(), torch.randn(1, 3, 64, 64)
    expected = model(pixel_values).masks_queries_logits
    difference = model.to(torch.bfloat16)(pixel_values).masks_queries_logits.float() - expected
    assert difference.abs().mean() < 0.05 * expected.abs().mean()


@pytest.mark.every_encoder
@pytest.mark.parametrize("probs", [0.0, 1.0])
def test_sdpa_equals_eager(tiny_model, probs):
    eager, sdpa = (tiny_model(probs=probs, attn_implementation=name) for name in ("eager", "sdpa"))
    pixel_values = torch.randn(2, 3, 64, 96)
    for model in (eager, sdpa):
        outputs = model(pixel_values)
        (outputs.masks_queries_logits.sin().sum() + outputs.class_queries_logits.sin().sum()).backward()
    with torch.no_grad():
        masks, expected = (model(pixel_values).masks_queries_logits for model in (sdpa, eager))
    torch.testing.assert_close(masks, expected, atol=1e-5, rtol=0)
    for (name, parameter), other in zip(sdpa.named_parameters(), eager.parameters(), strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, other.grad, atol=1e-3, rtol=1e-4, msg=name)


@pytest.mark.every_encoder
@pytest.mark.parametrize("probs", [0.0, 1.0])
@torch.no_grad()
def test_flex_attention_equals_eager(tiny_model, probs):
    device = "cuda" if CUDA else "cpu"
    eager = tiny_model(probs=probs, attn_implementation="eager").to(device)
    flex = tiny_model(probs=probs, attn_implementation="flex_attention").to(device)
    if not CUDA:  # the CPU has no backward of flex attention, and takes no input that wants one
        flex.requires_grad_(False)
    pixel_values = torch.randn(1, 3, 64, 64, device=device)
    expected = eager(pixel_values).masks_queries_logits
    torch.testing.assert_close(flex(pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)


@pytest.mark.skipif(not (CUDA and is_flash_attn_2_available()), reason="needs a CUDA device and the flash-attn package")
@pytest.mark.parametrize("probs", [0.0, 1.0])
@torch.no_grad()
def test_flash_attention_is_near_sdpa(tiny_model, probs, tmp_path):
    tiny_model(probs=probs).save_pretrained(tmp_path)
    pixel_values = torch.randn(1, 3, 64, 64, device="cuda", dtype=torch.bfloat16)
    flash, sdpa = (
        EomtForUniversalSegmentation.from_pretrained(tmp_path, dtype=torch.bfloat16, attn_implementation=name).cuda()
        for name in ("flash_attention_2", "sdpa")
    )
    expected = sdpa(pixel_values).masks_queries_logits
    assert (flash(pixel_values).masks_queries_logits - expected).abs().mean() < 0.05 * expected.abs().mean()
