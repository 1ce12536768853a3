"""Small random checkpoints of transformers' segmentation models with their processors, and a dataset for all of them."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.shard_writer import write_split

GRID_LABELS = Labels(["sky", "cat", "road", "dog"], [False, True, False, True])
CELL = 48  # pixels of a cell's side; truths are made of whole cells
STAGES = ["stage1", "stage2", "stage3", "stage4"]
DECODER = dict(hidden_dim=32, encoder_feedforward_dim=32, dim_feedforward=32, encoder_layers=1, num_attention_heads=2)
TEXT = dict(text_encoder_width=32, text_encoder_num_layers=1, text_encoder_vocab_size=60, task_seq_len=32, max_seq_len=8)
DETR = dict(encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2)
QUERIES = 7
EDGES = {"shortest_edge": 64, "longest_edge": 256}


def swin() -> transformers.SwinConfig:
    sizes = dict(image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4)
    return transformers.SwinConfig(**sizes, out_features=STAGES)


def mask2former(names: dict[int, str]) -> transformers.PreTrainedModel:
    sizes = dict(feature_size=32, mask_feature_size=32, decoder_layers=2, num_queries=QUERIES)
    config = transformers.Mask2FormerConfig(backbone_config=swin(), **DECODER, **sizes, id2label=names)
    return transformers.Mask2FormerForUniversalSegmentation(config)


def maskformer(names: dict[int, str]) -> transformers.PreTrainedModel:
    decoder = transformers.DetrConfig(d_model=32, encoder_layers=1, decoder_layers=1, num_queries=QUERIES, **DETR)
    sizes = dict(fpn_feature_size=32, mask_feature_size=32)
    config = transformers.MaskFormerConfig(backbone_config=swin(), decoder_config=decoder, **sizes, id2label=names)
    return transformers.MaskFormerForInstanceSegmentation(config)


def oneformer(names: dict[int, str]) -> transformers.PreTrainedModel:
    sizes = dict(conv_dim=32, mask_dim=32, decoder_layers=3, query_dec_layers=1, num_queries=QUERIES)
    config = transformers.OneFormerConfig(backbone_config=swin(), **DECODER, **TEXT, **sizes, id2label=names)
    return transformers.OneFormerForUniversalSegmentation(config)


def eomt(names: dict[int, str]) -> transformers.PreTrainedModel:
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=QUERIES, image_size=64)
    model = transformers.EomtForUniversalSegmentation(transformers.EomtConfig(**sizes, id2label=names))
    model.attn_mask_probs.zero_()
    return model


def eomt_dinov3(names: dict[int, str]) -> transformers.PreTrainedModel:
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=QUERIES, image_size=64)
    config = transformers.EomtDinov3Config(**sizes, intermediate_size=64, id2label=names)
    model = transformers.EomtDinov3ForUniversalSegmentation(config)
    model.attn_mask_probs.zero_()
    return model


def clip_tokenizer(folder: Path) -> transformers.CLIPTokenizer:
    """Of single letters."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def save_processor(kind: str, task: str, folder: Path) -> None:
    if kind == "mask2former":
        transformers.Mask2FormerImageProcessor(size=EDGES).save_pretrained(folder)
    elif kind == "maskformer":
        transformers.MaskFormerImageProcessor(size=EDGES).save_pretrained(folder)
    elif kind == "oneformer":
        entries = zip(GRID_LABELS.names, GRID_LABELS.isthing, strict=True)
        classes = {str(index): {"name": name, "isthing": int(isthing)} for index, (name, isthing) in enumerate(entries)}
        (folder / "classes.json").write_text(json.dumps(classes))
        made = dict(repo_path=str(folder), class_info_file="classes.json", num_text=2)
        images = transformers.OneFormerImageProcessor(size=EDGES, **made)
        processor = transformers.OneFormerProcessor(images, clip_tokenizer(folder), max_seq_length=8, task_seq_length=32)
        processor.save_pretrained(folder)
    else:
        cut = task == "semantic"
        size = {"shortest_edge": 64, "longest_edge": None if cut else 64}
        transformers.EomtImageProcessor(size=size, do_split_image=cut, do_pad=not cut).save_pretrained(folder)


BUILDERS = {build.__name__: build for build in (mask2former, maskformer, oneformer, eomt, eomt_dinov3)}


@pytest.fixture(scope="session")
def rival_checkpoint(tmp_path_factory) -> Callable[[str, str], Path]:
    """`rival_checkpoint(kind, task)`: of a kind of model with the classes of the task, sure enough to make segments."""
    root = tmp_path_factory.mktemp("rivals")

    def build(kind: str, task: str) -> Path:
        folder = root / f"{kind}-{task}"
        if not folder.is_dir():
            folder.mkdir()
            names = ["cat", "dog"] if task == "instance" and kind != "oneformer" else GRID_LABELS.names
            torch.manual_seed(7)
            model = BUILDERS[kind](dict(enumerate(names)))
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if name.endswith(("class_predictor.weight", "class_embed.weight")):
                        parameter.mul_(20)
                    elif "mask_embed" in name or "mask_head" in name:
                        parameter.mul_(4)
            model.save_pretrained(folder)
            save_processor(kind, task, folder)
        return folder

    return build


@pytest.fixture(scope="session")
def grid_labels() -> Labels:
    return GRID_LABELS


def encoded(pixels: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def grid_row(name: str, cells: np.ndarray, table: Sequence[dict]) -> dict:
    """A row of a dataset, its image random."""
    ids = cells.astype(np.uint8).repeat(CELL, 0).repeat(CELL, 1)
    image = np.random.default_rng(len(name)).integers(0, 255, (*ids.shape, 3), dtype=np.uint8)
    return {"image_id": name, "image": encoded(image), "id_map": encoded(ids), "segments": list(table)}


@pytest.fixture(scope="session")
def grid_data(tmp_path_factory) -> Path:
    """A long image, a high one and one without segments. The first two have void, stuff, two things that touch, and a crowd.

    Segments lie side by side: bilinear resizing keeps a straight edge, where it would round corners.
    """
    folder = tmp_path_factory.mktemp("grid")
    cells = np.repeat(np.array([1, 2, 3, 0, 4, 5, 6, 6], np.uint8), 2)[None].repeat(4, 0)  # (4, 16)
    classes = {1: 0, 2: 1, 6: 2, 3: 1, 4: 3, 5: 1}
    table = [{"id": i, "category": label, "iscrowd": i == 5} for i, label in classes.items()]
    rows = [grid_row("a", cells, table), grid_row("bb", cells.T, table), grid_row("ccc", np.zeros((4, 4)), [])]
    write_labels(folder, GRID_LABELS)
    write_split(folder, "val", rows, len(rows))
    return folder
