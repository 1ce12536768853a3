"""Shared fixtures: tiny models of ours, labels, and the real data beside the checkout where there is any."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from transformers import AutoConfig, AutoModelForUniversalSegmentation  # noqa: E402

from eomt import EomtForUniversalSegmentation  # noqa: E402
from eomt.configuration import CONFIGURATIONS, EomtBaseConfig  # noqa: E402

torch.set_num_threads(1)  # tiny models: threads would cost more than they give

TINY = dict(
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    image_size=64,
    patch_size=16,
    num_blocks=2,
    num_queries=8,
    train_num_points=256,
)
DECODER = dict(num_blocks=0, decoder_layers=3, decoder_width=32, pixel_decoder_layers=1)
DIFFERENT = {  # what a tiny model of another `model_type` has besides
    "eomt": dict(num_register_tokens=4),
    "eomt_dinov3": dict(num_register_tokens=4, intermediate_size=128),
    "eomt_eva02": dict(intermediate_size=170),
    "eomt_ladder": dict(num_register_tokens=4, **DECODER),
    "eomt_dinov3_ladder": dict(num_register_tokens=4, intermediate_size=128, **DECODER),
    "eomt_eva02_ladder": dict(intermediate_size=170, **DECODER),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked `every_encoder` runs for the tiny model of each `model_type`."""
    if metafunc.definition.get_closest_marker("every_encoder"):
        metafunc.parametrize("model_type", [known.model_type for known in CONFIGURATIONS])


@pytest.fixture
def model_type() -> str:
    """Of the tiny models, where a test says nothing else."""
    return "eomt"


@pytest.fixture
def tiny_config(model_type) -> Callable[..., EomtBaseConfig]:
    """`tiny_config(num_labels=5, **fields)`: four blocks, the last two with queries, or three layers of a decoder, 64 pixels."""

    def build(num_labels: int = 5, **fields) -> EomtBaseConfig:
        names = {index: f"class {index}" for index in range(num_labels)}
        labels = dict(id2label=names, label2id={name: index for index, name in names.items()})
        return AutoConfig.for_model(model_type, **{**TINY, **DIFFERENT[model_type], **fields}, **labels)

    return build


@pytest.fixture
def tiny_model(tiny_config) -> Callable[..., EomtForUniversalSegmentation]:
    """`tiny_model(probs=0.0, **fields)`: evaluation mode, every parameter random, so that none can be forgotten unnoticed."""

    def build(probs: float | list[float] = 0.0, seed: int = 0, **fields) -> EomtForUniversalSegmentation:
        torch.manual_seed(seed)
        model = AutoModelForUniversalSegmentation.from_config(tiny_config(**fields)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.set_attn_mask_probs(probs if isinstance(probs, list) else [probs] * len(model.attn_mask_probs))
        return model

    return build


@pytest.fixture
def segments() -> Callable[..., tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]]:
    """`segments(counts, size)`: random blobs as `id_maps, segment_ids, class_labels` and the same as `mask_labels`."""

    def build(counts: list[int], size: int = 64, num_labels: int = 5, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        id_maps = torch.zeros(len(counts), size, size, dtype=torch.int32)
        for image, count in enumerate(counts):
            cells = torch.randint(0, count + 1, (8, 8), generator=generator, dtype=torch.int32)  # 0 is void
            cells.view(-1)[torch.randperm(64, generator=generator)[:count]] = torch.arange(1, count + 1, dtype=torch.int32)
            id_maps[image] = cells.repeat_interleave(size // 8, 0).repeat_interleave(size // 8, 1)
        segment_ids = [torch.arange(1, count + 1) for count in counts]
        class_labels = [torch.randint(0, num_labels, (count,), generator=generator) for count in counts]
        mask_labels = [(maps == ids[:, None, None]).float() for maps, ids in zip(id_maps, segment_ids, strict=True)]
        return id_maps, segment_ids, class_labels, mask_labels

    return build


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data(name)`: a path under `../shared/data`; the test is skipped, saying so, where it is not there."""

    def find(name: str) -> Path:
        path = Path(__file__).resolve().parents[2] / "shared" / "data" / name
        if not path.exists():
            pytest.skip(f"../shared/data/{name} is not there")
        return path

    return find
