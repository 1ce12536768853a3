"""The committed cards are those that the command writes, and their measured sizes are the paper's."""

import pytest
from huggingface_hub import ModelCard

from eomt.model_cards.architectures import FOLDER, architecture_card, measure_size, published, published_names
from eomt.train_scripts.training.recipe import recipe_words


@pytest.mark.parametrize("name", published_names())
def test_the_committed_card_is_what_the_command_writes(name):
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == architecture_card(name), (
        "run python -m eomt.model_cards.architectures"
    )


@pytest.mark.parametrize("name", published_names())
def test_published_scores_carry_their_source_one_by_one(name):
    card = ModelCard.load(FOLDER / f"{name}.md")
    expected = [result for result in published(name)["results"] if not result["masked"]]
    found = {(r.dataset_name, r.dataset_config, r.metric_name): r for r in card.data.eval_results}
    assert len(found) == len(expected) and {r.metric_value for r in found.values()} == {r["score"] for r in expected}
    assert all(r.source_url and r.source_name for r in found.values())
    assert card.data.base_model.startswith("timm/") and card.data.license is None


@pytest.mark.parametrize("name", [name for name in published_names() if "gflops" in published(name)["results"][0]])
def test_measured_sizes_are_the_published_ones(name):
    plain, masked = published(name)["results"][:2]
    assert masked["masked"]
    for result in (plain, masked):
        params, flops = measure_size(name, *(result[key] for key in ("size", "queries", "classes", "masked")))
        assert abs(params - result["params"]) < 1  # million; the paper cuts decimals off
        assert flops == pytest.approx(result["gflops"], rel=0.01)


@pytest.mark.parametrize("name", [name for name in published_names() if "recipe" in published(name)])
def test_an_architecture_with_a_recipe_of_its_own_is_trained_by_it(name):
    entry = published(name)
    words = recipe_words(entry["recipe"])
    assert words[words.index("--timm_model") + 1] == entry["backbone"]
    assert f"--recipe {entry['recipe']} --data data/coco" in (FOLDER / f"{name}.md").read_text(encoding="utf-8")
