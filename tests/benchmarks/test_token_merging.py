"""The benchmark of token merging: what it counts, what it measures once, and what it shows."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from eomt.model_cards.sizes import count_multiply_adds, on_meta
from eomt.token_merging import ALGM, MPM, merge_tokens
from eomt.train_scripts.data.scenes import LABELS, write_scenes
from eomt.train_scripts.evaluation.tasks import task_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("token_merging")
    for name in ("token_merging", "merged_sizes"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("model_type", ["eomt", "eomt_dinov3", "eomt_eva02"])
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
@torch.no_grad()
def test_multiply_adds_are_those_of_the_counter_where_nothing_merges(benchmark, tiny_model, size):
    model = tiny_model()
    tokens, sizes = benchmark.TokenCounter(model), benchmark.MergedSizes(model.config, size)
    model(torch.randn(2, 3, *size))
    expected = count_multiply_adds(on_meta(model.config, masked=False), size)[""]
    assert sizes.merged(tokens, None) == sizes.plain == expected


@torch.no_grad()
def test_multiply_adds_with_merged_tokens_by_hand(benchmark, tiny_model):
    """Blocks of 29, 29, 37 and 37 tokens: 5 of class and registers, 24 patches, and from the third on 8 queries."""
    model = tiny_model()
    tokens, sizes = benchmark.TokenCounter(model), benchmark.MergedSizes(model.config, (64, 96))
    merge_tokens(model, ALGM(threshold=0, local_block=1, global_block=None))
    model(torch.ones(1, 3, 64, 96))
    assert tokens.attended == [29, 11, 19, 19] and tokens.fed == [11, 11, 19, 19]

    def attention(count: int) -> int:
        return 5 * 64 * count + 4 * 64**2 * count + 2 * 64 * count**2  # norm, projections, scores and means

    def feed_forward(count: int) -> int:
        return 5 * 64 * count + 8 * 64**2 * count

    saved = attention(29) + feed_forward(29) - attention(11) - feed_forward(11) + 2 * attention(37) + 2 * feed_forward(37)
    saved += feed_forward(29) - feed_forward(11) - 2 * attention(19) - 2 * feed_forward(19)
    assert sizes.merged(tokens, ALGM(0, 1, None)) == sizes.plain - saved
    assert sizes.merged(tokens, ALGM(0, 1, 2)) == sizes.plain - saved + 64 * 3 * 3  # the matching of 6 tokens
    assert sizes.merged(tokens, MPM((2,))) == sizes.plain - saved + 64 * 6**2
    assert tokens.kept(ALGM(0, 1, 2), 24) == [0.25, 0.25]


def test_a_setting_that_others_beat_is_not_on_the_frontier(benchmark):
    points = [(0.0, 0.0), (10.0, -0.1), (20.0, 0.3), (15.0, 0.4), (30.0, 0.2), (20.0, 0.1)]
    assert benchmark.frontier(points) == [(10.0, -0.1), (20.0, 0.1), (30.0, 0.2)]


@pytest.fixture
def words(tiny_model, tmp_path) -> list[str]:
    """Of a run on six scenes with a tiny model."""
    write_scenes(tmp_path / "data", train=1, val=3)
    model = tiny_model(num_labels=len(LABELS))
    model.config.id2label = dict(enumerate(LABELS.names))
    model.save_pretrained(tmp_path / "model")
    task_of("panoptic").processor(64, LABELS).save_pretrained(tmp_path / "model")
    words = f"--checkpoint {tmp_path / 'model'} --data {tmp_path / 'data'} --task panoptic --out {tmp_path / 'out'} --repeats 1"
    return [*words.split(), *"--thresholds none .5 --global_blocks none 2 --batch_sizes 1 2".split()]


def test_it_measures_each_setting_once_and_draws_the_frontier(benchmark, words, tmp_path, monkeypatch, capsys):
    def run(*more: str) -> dict[str, dict]:
        monkeypatch.setattr(sys, "argv", ["token_merging.py", *words, *more])
        benchmark.main()
        return json.loads((tmp_path / "out" / "measured.json").read_text())["records"]

    first = run()
    names = ["plain", "algm - 2", "algm 0.5@1 -", "algm 0.5@1 2"]
    assert list(first) == [f"{name}, batch {size}" for size in (1, 2) for name in names]
    merged = first["algm 0.5@1 2, batch 1"]
    assert merged["kept"][1] < merged["kept"][0] < 1 and merged["gmacs"] < first["plain, batch 1"]["gmacs"]
    assert (tmp_path / "out" / "frontier.png").is_file() and "| 2 | algm 0.5@1 - |" in capsys.readouterr().out
    second = run("--ignore_sizes", "--batch_sizes", "1")
    assert {key: second[key] for key in first} == first
    assert second.keys() - first.keys() == {f"{name}, sizes ignored, batch 1" for name in names[1:]}
    with pytest.raises(ValueError, match="has figures of .* choose another folder"):
        run("--photos", "2")
