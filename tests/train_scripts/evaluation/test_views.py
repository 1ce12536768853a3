"""Predictions and scores from several views of an image."""

import numpy as np
import pytest
from PIL import Image

from eomt import EomtForUniversalSegmentation
from eomt.train_scripts.predict import predict
from eomt.train_scripts.score import score

NAME = "000000000100"
VIEWS = {"alone": {}, "mirrored": {"mirror": True}, "larger": {"scales": [1.0, 1.5]}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photo, and in another folder its mirror image of the same name."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.random.default_rng(0).integers(0, 256, (14, 21, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels).resize((112, 75), Image.Resampling.BICUBIC)
    for name, image in {"as_is": photo, "mirrored": photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)}.items():
        (folder / name).mkdir()
        image.save(folder / name / f"{NAME}.png")
    return folder


def confidence(checkpoints, images, out, **options) -> np.ndarray:
    words = {"task": "semantic", "output": out, "confidence": ["msp"], "bf16": False}
    predict(checkpoint=checkpoints / "semantic", images=images, **words, **options)
    return np.array(Image.open(out / f"confidence/msp/{NAME}.png")).astype(int)


def test_the_mean_of_all_views_is_predicted_and_another_run_goes_on_with_none_of_them(checkpoints, photos, tmp_path):
    maps = {name: confidence(checkpoints, photos / "as_is", tmp_path / name, **views) for name, views in VIEWS.items()}
    for name in ("mirrored", "larger"):
        assert maps[name].shape == (75, 112) and 0 < np.abs(maps[name] - maps["alone"]).mean() < 0.2 * 65535
    of_mirror_image = confidence(checkpoints, photos / "mirrored", tmp_path / "flipped", mirror=True)[:, ::-1]
    assert np.abs(of_mirror_image - maps["mirrored"]).max() < 0.01 * 65535  # it makes no difference which of the two is the image
    for name in ("mirror", "scales"):
        with pytest.raises(ValueError, match=name):
            confidence(
                checkpoints, photos / "as_is", tmp_path / "alone", **{"mirror": {"mirror": True}, "scales": {"scales": [2.0]}}[name]
            )


def test_scores_are_of_all_views(checkpoints, few_scenes, monkeypatch):
    seen, forward = [], EomtForUniversalSegmentation.predict_blocks

    def predict_blocks(self, pixel_values, *others):
        seen.append(len(pixel_values))
        return forward(self, pixel_values, *others)

    monkeypatch.setattr(EomtForUniversalSegmentation, "predict_blocks", predict_blocks)
    for name, views in {"alone": 1, "mirrored": 2, "larger": 1 + 4}.items():
        seen.clear()
        score(checkpoints / "semantic", few_scenes, "val", "semantic", bf16=False, **VIEWS[name])
        assert sum(seen) == 3 * views and max(seen) == 1, name  # of three square images, a batch's worth at a time
    seen.clear()
    score(checkpoints / "semantic", few_scenes, "val", "semantic", bf16=False, latency=1, **VIEWS["larger"])
    assert len(seen) > 3 * 5 and max(seen) == 1  # what is timed has passes of the same size
