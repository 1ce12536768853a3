"""Features of a frozen encoder that are computed once an image, and without which a run is the same."""

import pytest
import torch

from eomt.configuration.architectures import LADDERS
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.train_scripts.training.feature_cache import FeatureCache

FROZEN = ["--frozen_blocks", "-1", "--augment", "false", "--max_steps", "5", "--learning_rate", "1e-2", "--eval_split", ""]
FROZEN += ["--max_grad_norm", "1"]


def test_a_run_with_cached_features_is_that_without_and_encodes_each_image_once(tiny_run, tmp_path, monkeypatch):
    plain = tiny_run(*FROZEN, "--output_dir", str(tmp_path / "plain"))
    runs, encode = [], EomtForUniversalSegmentation.encode_images
    monkeypatch.setattr(
        EomtForUniversalSegmentation, "encode_images", lambda self, *inputs: [runs.append(1), encode(self, *inputs)][1]
    )
    cached = tiny_run(*FROZEN, "--cache_features", "--output_dir", str(tmp_path / "cached"))
    assert len(runs) == len(cached.features) == 8  # in five steps of four images, of eight
    losses = [[entry["loss"] for entry in run.state.log_history if "loss" in entry] for run in (plain, cached)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    torch.testing.assert_close(dict(cached.model.state_dict()), dict(plain.model.state_dict()), atol=1e-3, rtol=1e-3)


def test_images_that_are_augmented_are_refused(tiny_run):
    with pytest.raises(ValueError, match="cache_features=True needs images that are the same .*: give --augment false"):
        tiny_run("--frozen_blocks", "-1", "--cache_features")
    with pytest.raises(ValueError, match="color_jitter=True has no effect with augment=False"):
        tiny_run("--augment", "false", "--color_jitter", "true")
    with pytest.raises(ValueError, match="rotate90=True has no effect with augment=False"):
        tiny_run("--augment", "false", "--rotate90", "true")


def test_an_encoder_that_is_trained_or_random_is_refused(tiny_model):
    model = tiny_model()
    with pytest.raises(ValueError, match="needs a frozen encoder: give --frozen_blocks -1"):
        FeatureCache(model)
    model = tiny_model(drop_path_rate=0.1)
    model.freeze_encoder(-1)
    with pytest.raises(ValueError, match="drop_path_rate=0.1 makes them random; give --config '{\"drop_path_rate\": 0}'"):
        FeatureCache(model)


@pytest.mark.parametrize("model_type", ["eomt_dinov3"])
def test_random_coordinates_of_dinov3_are_refused(tiny_model):
    model = tiny_model()
    model.freeze_encoder(-1)
    with pytest.raises(ValueError, match="pos_embed_rescale=2.0 makes them random; give --config '{\"pos_embed_rescale\": null}'"):
        FeatureCache(model)
    model = tiny_model(pos_embed_rescale=None)
    model.freeze_encoder(-1)
    images = torch.randn(2, 3, 64, 64)
    cache = FeatureCache(model)
    torch.testing.assert_close(cache.encoded(["a", "b"], images), model.encode_images(images))
    assert torch.equal(cache.encoded(["b"], images[1:]), cache.encoded(["a", "b"], images)[1:]) and len(cache) == 2
    with pytest.raises(ValueError, match="image 'a' comes with other pixels than before"):
        cache.encoded(["a"], images[1:])


@pytest.mark.parametrize("model_type", [LADDERS[0].model_type])
def test_rows_of_table_1_are_refused(tiny_model):
    with pytest.raises(ValueError, match="is for EoMT, not for eomt_"):
        FeatureCache(tiny_model(row=3))
