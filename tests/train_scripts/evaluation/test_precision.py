"""Number format and attention follow from a machine's features."""

import pytest
import torch

from eomt.train_scripts.evaluation.precision import autocast, chosen_dtype, describe_machine, fast_attention, fast_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
AMX, PLAIN = {"avx512_bf16": False, "amx_bf16": True}, {"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}


@pytest.fixture
def processor(monkeypatch):
    """`processor(capability, features)`: pretends to be one."""

    def pretend(capability: str, features: dict) -> None:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)

    return pretend


@pytest.mark.parametrize(
    ("capability", "features", "dtype"),
    [
        ("AVX2", {}, torch.float32),
        ("AVX2", {"avx512_bf16": True}, torch.float32),  # limited by ATEN_CPU_CAPABILITY
        ("AVX512", PLAIN, torch.float32),
        ("AVX512", AMX, torch.bfloat16),
        ("AVX512", {"avx512_bf16": True}, torch.bfloat16),
        ("DEFAULT", {}, torch.float32),
    ],
)
def test_bfloat16_where_a_processor_has_units_for_it(processor, capability, features, dtype):
    processor(capability, features)
    assert fast_dtype(CPU) == dtype
    assert (
        chosen_dtype(CPU, None) == dtype and chosen_dtype(CPU, True) == torch.bfloat16 and chosen_dtype(CPU, False) == torch.float32
    )


@pytest.mark.parametrize(("capability", "dtype"), [((9, 0), torch.bfloat16), ((8, 6), torch.bfloat16), ((7, 5), torch.float16)])
def test_gpus_by_their_compute_capability(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_dtype(CUDA) == dtype
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    assert fast_dtype(CUDA) == torch.float32


def test_attention_is_written_out_for_training_in_bfloat16_on_a_cpu_alone():
    assert fast_attention(CPU, torch.bfloat16, training=True) == "eager"
    for device, dtype, training in ((CPU, torch.float32, True), (CPU, torch.bfloat16, False), (CUDA, torch.bfloat16, True)):
        assert fast_attention(device, dtype, training) == "sdpa"


def test_autocast_changes_linear_layers_and_nothing_for_float32():
    layer, tokens = torch.nn.Linear(4, 4), torch.ones(1, 4)
    for dtype in (torch.float32, torch.bfloat16):
        with autocast(CPU, dtype):
            assert layer(tokens).dtype == dtype


def test_the_machine_in_words(processor):
    processor("AVX2", {})
    words = describe_machine(CPU, torch.float32, "sdpa", 2)
    assert words == f"2 processes on the CPU (AVX2, {torch.get_num_threads()} thread each), float32, sdpa attention"
