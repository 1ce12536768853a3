"""The published rows: each recipe parses, builds, and its schedules are the published steps."""

from pathlib import Path

import pytest
import timm
import torch
import yaml
from transformers import AutoModel

from eomt.configuration import ARCHITECTURES, architecture_config, ladder_architecture
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.parameter_groups import rate_groups
from eomt.train_scripts.training.recipe import parse_arguments
from eomt.train_scripts.training.schedules import learning_rate_factor, mask_probability
from eomt.weights.timm import encoder_config

FOLDER = Path(__file__).parents[2] / "train_scripts/recipes"
COCO, COCO_2X, ADE, CITY = 88692, 2 * 88692, 39120, 19902  # steps
ADE_16 = round(ADE * 16 / 31)
IMAGES = {"coco_panoptic": 118_287, "coco_instance": 117_266, "ade20k": 20_210, "cityscapes": 2_975, "ablation": 118_287}
# steps, size, queries, blocks with queries (none in rows 0 to 3 of Table 1),
# (first, last) step of the first block's annealing, of the last's
THREE = [(14782, 29564), (59128, 73910)]
THREE_DINOV3 = [(0, 3000), (59128, 73910)]
PUBLISHED = {
    "coco_panoptic_small_640": (COCO, "small", 640, 200, 3, THREE),
    "coco_panoptic_base_640": (COCO, "base", 640, 200, 3, THREE),
    "coco_panoptic_small_640_2x": (COCO_2X, "small", 640, 200, 3, [(29564, 59128), (118256, 147820)]),
    "coco_panoptic_base_640_2x": (COCO_2X, "base", 640, 200, 3, [(29564, 59128), (118256, 147820)]),
    "coco_panoptic_large_640": (COCO, "large", 640, 200, 4, THREE),
    "coco_panoptic_large_1280": (COCO, "large", 1280, 200, 4, THREE),
    "coco_panoptic_large_640_eva02": (COCO, "eva02_large", 640, 200, 4, THREE),
    "coco_panoptic_large_640_deit3_in21k": (COCO, "deit3_large", 640, 200, 4, THREE),
    "coco_panoptic_large_640_deit3_in1k": (COCO, "deit3_large", 640, 200, 4, THREE),
    "coco_panoptic_giant_640": (COCO, "giant", 640, 200, 5, THREE),
    "coco_panoptic_giant_1280": (COCO, "giant", 1280, 200, 5, THREE),
    "coco_instance_large_640": (COCO, "large", 640, 200, 4, THREE),
    "coco_instance_large_1280": (COCO, "large", 1280, 200, 4, THREE),
    "ade20k_panoptic_large_640": (ADE, "large", 640, 200, 4, [(6520, 13040), (26080, 32600)]),
    "ade20k_panoptic_large_1280": (ADE, "large", 1280, 200, 4, [(6520, 13040), (26080, 32600)]),
    "ade20k_panoptic_giant_640": (ADE, "giant", 640, 200, 5, [(6520, 13040), (26080, 32600)]),
    "ade20k_panoptic_giant_1280": (ADE, "giant", 1280, 200, 5, [(6520, 13040), (26080, 32600)]),
    "ade20k_semantic_large_512": (ADE, "large", 512, 100, 4, [(6520, 13040), (26080, 32600)]),
    "cityscapes_semantic_large_1024": (CITY, "large", 1024, 100, 4, [(3317, 6634), (13268, 16585)]),
    "coco_panoptic_small_640_2x_dinov3": (COCO_2X, "dinov3_small", 640, 200, 3, [(0, 3000), (118256, 147820)]),
    "coco_panoptic_base_640_2x_dinov3": (COCO_2X, "dinov3_base", 640, 200, 3, [(0, 3000), (118256, 147820)]),
    "coco_panoptic_large_640_dinov3": (COCO, "dinov3_large", 640, 200, 4, THREE_DINOV3),
    "coco_panoptic_large_1280_dinov3": (COCO, "dinov3_large", 1280, 200, 4, THREE_DINOV3),
    "coco_instance_large_640_dinov3": (COCO, "dinov3_large", 640, 200, 4, THREE),
    "coco_instance_large_1280_dinov3": (COCO, "dinov3_large", 1280, 200, 4, THREE),
    # published are steps 13040 and 16300, five sixths of 15.5 epochs
    "ade20k_semantic_large_512_dinov3": (ADE_16, "dinov3_large", 512, 100, 4, [(0, 3000), (13461, 16826)]),
    **{f"coco_panoptic_large_640_row{row}": (COCO, "large", 640, 200, 0, None) for row in range(4)},
    "coco_instance_large_640_row0": (COCO, "large", 640, 200, 0, None),
    "ade20k_panoptic_large_640_row0": (ADE, "large", 640, 200, 0, None),
    "ade20k_semantic_large_512_row0": (ADE, "large", 512, 100, 0, None),
    "cityscapes_semantic_large_1024_row0": (CITY, "large", 1024, 100, 0, None),
    "ablation_masking_always": (COCO, "large", 640, 200, 4, None),
    "ablation_masking_never": (COCO, "large", 640, 200, 4, None),
    "ablation_blocks_9": (COCO, "large", 640, 200, 9, THREE),
    "ablation_blocks_6": (COCO, "large", 640, 200, 6, THREE),
    "ablation_blocks_2": (COCO, "large", 640, 200, 2, THREE),
}
DINOV3 = [name for name in PUBLISHED if name.endswith("_dinov3")]


@pytest.fixture
def parsed(tmp_path):
    """`parsed(name)`: the three groups of arguments of a recipe."""

    def run(name: str, *words: str):
        classes = (ModelArguments, DataArguments, EomtTrainingArguments)
        return parse_arguments(classes, ["--recipe", name, "--data", "d", "--output_dir", str(tmp_path), *words])

    return run


def test_there_is_a_recipe_a_row():
    assert {path.stem for path in FOLDER.glob("*_*.yaml")} - {"demo_pretrained"} == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_head_says_what_a_reader_wants_to_know_and_the_body_what_differs(name, parsed, tmp_path):
    text = (FOLDER / f"{name}.yaml").read_text()
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert all(f"{word}: " in head for word in ("Source", "Expected", "Hardware", "Cost"))
    assert f"# Command: accelerate launch train_scripts/train.py --recipe {name} --data " in head
    words = ["--data", "d", "--output_dir", str(tmp_path)]
    default = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), words)
    default = {key: value for part in default for key, value in vars(part).items()}
    for key, value in yaml.safe_load(text).items():
        assert str(default[key]) != str(value), f"{key} is the default"


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_schedules_are_the_published_steps(name, parsed):
    steps, _, _, _, num_blocks, annealing = PUBLISHED[name]
    _, _, args = parsed(name)
    args.epochs_to_steps(round(steps * args.total_batch_size / args.num_train_epochs))
    assert args.max_steps == pytest.approx(steps, abs=4) and args.total_batch_size == 16
    head, encoder = args.warmup_shares()
    warm_ups = (2000, 3000) if name in DINOV3 else (500, 1000)
    assert (head * steps, encoder * steps) == pytest.approx(warm_ups, abs=1)
    assert learning_rate_factor(sum(warm_ups) / steps, head, encoder) == pytest.approx(1, abs=2e-3)
    assert (args.masking == "annealed") == (annealing is not None)

    def probability(step: int, block: int) -> float:
        return mask_probability(step / steps, block, num_blocks, args.poly_power, args.first_annealing_share())

    for block, (first, last) in zip((0, num_blocks - 1), annealing or (), strict=False):
        assert probability(first - 8, block) == 1 > probability(first + 8, block)
        assert probability(last - 8, block) > 0 == probability(last + 8, block)


@pytest.mark.parametrize("name", DINOV3)
def test_its_learning_rates_are_the_authors(name, parsed):
    """2e-4 x .8 ** (L - 1 - i) in block i before the queries, 2e-4 behind; on ADE20K everywhere."""
    model_args, _, args = parsed(name)
    with torch.device("meta"):
        model = AutoModel.from_config(architecture_config(PUBLISHED[name][1]))
    blocks, decay = len(model.layers), 1.0 if name.startswith("ade20k") else 0.8
    groups = rate_groups(model, args, model.named_parameters())
    peaks = {id(parameter): key.peak for key, parameters in groups.items() for parameter in parameters}
    for index, layer in enumerate(model.layers):
        factor = decay ** (blocks - 1 - index) if index < blocks - PUBLISHED[name][4] else 1
        assert peaks[id(layer.norm1.weight)] == pytest.approx(2e-4 * factor)
    assert peaks[id(model.embeddings.cls_token)] == pytest.approx(2e-4 * decay ** (blocks - 1))
    for parameter in (model.layernorm.weight, model.query.weight, model.class_predictor.weight):
        assert peaks[id(parameter)] == 2e-4


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_epochs_are_the_published_steps(name, parsed):
    """Of the whole datasets; the official code leaves a few images without targets out, and for instances counts panoptic's."""
    _, _, args = parsed(name)
    [images] = [images for start, images in IMAGES.items() if name.startswith(start)]
    args.epochs_to_steps(images)
    assert args.max_steps == pytest.approx(PUBLISHED[name][0], rel=0.01 if name.startswith("coco_instance") else 0.001)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_builds_on_the_meta_device(name, parsed):
    _, size, pixels, queries, num_blocks, _ = PUBLISHED[name]
    model_args, data_args, _ = parsed(name)
    fields = {"image_size": data_args.image_size, "num_labels": 19, **model_args.config_fields}
    with torch.device("meta"):
        if model_args.timm_model:
            config = encoder_config(timm.create_model(model_args.timm_model, num_classes=0).state_dict(), **fields)
        elif not num_blocks:  # the authors released no such checkpoint to start from
            assert model_args.checkpoint is None
            config = ladder_architecture(size, 0, **fields)
        else:
            assert model_args.checkpoint == f"tue-mps/coco_panoptic_eomt_{size}_{pixels}"
            config = architecture_config(size, **fields)
        model = AutoModel.from_config(config)
    assert {key: getattr(config, key) for key in ARCHITECTURES[size]} == {**ARCHITECTURES[size], "num_blocks": num_blocks}
    assert (config.image_size, config.num_queries, config.num_blocks) == (pixels, queries, num_blocks)
    assert config.num_register_tokens == architecture_config(size).num_register_tokens
    queries_of_model = model.query if num_blocks else model.transformer_decoder.queries_features
    assert queries_of_model.num_embeddings == queries and model.device.type == "meta"
    assert num_blocks or f"_row{config.row}" in name


def test_a_users_own_number_of_epochs_keeps_the_shares(parsed):
    _, _, args = parsed("ade20k_semantic_large_512", "--num_train_epochs", "3")
    args.epochs_to_steps(500)
    assert args.max_steps == 94 and sum(args.warmup_shares()) == pytest.approx(1500 / ADE, abs=1e-6)


def test_mask2former_is_annealed_over_its_nine_layers(parsed):
    """Table C, by the rule of EoMT's blocks: the first layer from a sixth on, the last up to five sixths."""
    model_args, _, args = parsed("coco_panoptic_large_640_row0", "--masking", "annealed")
    config = ladder_architecture("large", **{key: value for key, value in model_args.config_fields.items() if key != "model_type"})
    layers = config.decoder_layers
    assert args.masking == "annealed" and layers == 9
    for layer in range(layers):
        start = 1 / 6 + layer / 16
        assert mask_probability(start - 1e-6, layer, layers) == 1 > mask_probability(start + 1e-3, layer, layers)
        assert mask_probability(start + 1 / 6 - 1e-3, layer, layers) > 0 == mask_probability(start + 1 / 6 + 1e-6, layer, layers)
