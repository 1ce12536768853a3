"""Augmentation: the fast crop equals the plain pipeline, image and labels stay together."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from eomt.image_processing.augmentation import PADDING_ID, ScaleJitterCrop, normalize, photometric_jitter, training_augmentation


def photo(height: int, width: int, seed: int = 0) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """Smooth random pixels, and an id map of 8 x 8 pixel squares."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (1, 3, height // 6 + 2, width // 6 + 2), generator=generator).float()
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").round().to(torch.uint8)[0]
    rows, cols = torch.arange(height)[:, None] // 8, torch.arange(width) // 8
    return tv_tensors.Image(image), tv_tensors.Mask((rows * 100 + cols).to(torch.int32))


def plain(image: torch.Tensor, id_map: torch.Tensor, params: dict, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Resize all, pad, crop."""
    image = functional.resize(image, params["scaled"], antialias=True)
    id_map = functional.resize(id_map[None], params["scaled"], interpolation=v2.InterpolationMode.NEAREST_EXACT)[0]
    padding = [0, 0, max(0, size - params["scaled"][1]), max(0, size - params["scaled"][0])]
    image, id_map = functional.pad(image, padding), functional.pad(id_map[None], padding, fill=PADDING_ID)[0]
    place = [*params["starts"], size, size]
    return functional.crop(image, *place), functional.crop(id_map, *place)


@pytest.mark.parametrize("shape", [(64, 64), (48, 90), (101, 37), (5, 200)])
def test_the_fast_crop_equals_resizing_padding_and_cropping(shape):
    crop, (image, id_map) = ScaleJitterCrop(64, 0.1, 2.0), photo(*shape)
    torch.manual_seed(0)
    for _ in range(25):
        params = crop.make_params([image, id_map])
        pixels, ids = crop.transform(image, params), crop.transform(id_map, params)
        expected, expected_ids = plain(image, id_map, params, 64)
        assert pixels.shape == (3, 64, 64) and ids.shape == (64, 64)
        difference = (pixels.int() - expected.int()).abs()
        assert difference.max() <= 2 and difference.float().mean() < 0.25
        ties = [
            (2 * torch.arange(start, start + 64) + 1) * old % (2 * new) == 0  # a new pixel's centre lies between two old ones
            for old, new, start in zip(shape, params["scaled"], params["starts"], strict=True)
        ]
        assert ((ids == expected_ids) | ties[0][:, None] | ties[1]).all()


def test_scales_and_places_are_those_of_the_recipe():
    crop, inputs = ScaleJitterCrop(100, 0.1, 2.0), list(photo(60, 120))
    torch.manual_seed(0)
    params = [crop.make_params(inputs) for _ in range(2000)]
    scales = np.array([draw["scaled"][1] for draw in params]) / 100  # the long side of the fitted image is 100
    assert scales.min() < 0.12 and scales.max() > 1.97 and abs(scales.mean() - 1.05) < 0.03
    for draw in params:
        height, width = draw["scaled"]
        assert abs(height - width / 2) <= 1
        assert 0 <= draw["starts"][0] <= max(0, height - 100) and 0 <= draw["starts"][1] <= max(0, width - 100)
    assert {draw["starts"][1] for draw in params if draw["scaled"][1] == 102} == {0, 1, 2}


def test_padding_is_black_and_void():
    image, id_map = photo(40, 80)
    torch.manual_seed(1)
    image, id_map = training_augmentation(64, 0.5, 0.5)(tv_tensors.Image(torch.full_like(image, 200)), id_map)
    padded = id_map == PADDING_ID
    assert not padded[:16, :32].any() and padded[16:].all() and padded[:, 32:].all()
    assert (image[:, padded] == 0).all() and (image[:, ~padded] == 200).all()


@pytest.mark.parametrize("seed", range(6))
def test_labels_stay_on_their_pixels(seed):
    """An image whose grey is its id, through flips, scales and crops."""
    ids = tv_tensors.Mask((torch.arange(60)[:, None] // 20 * 3 + torch.arange(90) // 30).to(torch.int32) + 1)
    image = tv_tensors.Image((ids * 25).to(torch.uint8).expand(3, -1, -1))
    torch.manual_seed(seed)
    image, ids = training_augmentation(80, 0.4, 2.0)(image, ids)
    shown = ids != PADDING_ID
    agree = (image[0].int() - ids * 25).abs()[shown] <= 12
    assert agree.float().mean() > 0.85  # all but the blurred borders
    assert set(ids.unique().tolist()) <= {PADDING_ID, *range(1, 10)}


def test_half_of_the_images_are_flipped():
    ids = tv_tensors.Mask(torch.arange(8, dtype=torch.int32).expand(8, 8))
    image = tv_tensors.Image(torch.zeros(3, 8, 8, dtype=torch.uint8))
    torch.manual_seed(0)
    flipped = [training_augmentation(8, 1.0, 1.0)(image, ids)[1][0, 0].item() == 7 for _ in range(300)]
    assert 0.4 < sum(flipped) / 300 < 0.6


def test_scale_1_of_a_fitting_image_changes_no_pixel():
    image, id_map = photo(64, 64)
    crop = ScaleJitterCrop(64, 1.0, 1.0)
    same, same_ids = crop(image, id_map)
    assert torch.equal(same, image) and torch.equal(same_ids, id_map)


def test_a_scaled_image_keeps_at_least_a_pixel():
    image, id_map = photo(2, 300)
    torch.manual_seed(0)
    image, id_map = training_augmentation(32, 0.1, 0.1)(image, id_map)
    assert (id_map != PADDING_ID).sum() == 3  # 1 x 3 pixels


def test_color_jitter_touches_colours_only():
    image, id_map = photo(32, 32)
    jitter = v2.Compose(photometric_jitter())
    torch.manual_seed(0)
    results = [jitter(image, id_map) for _ in range(40)]
    assert all(torch.equal(ids, id_map) and pixels.dtype == torch.uint8 for pixels, ids in results)
    unchanged = sum(torch.equal(pixels, image) for pixels, _ in results)
    assert 0 < unchanged < 12  # one in sixteen
    strength = [(pixels.float().mean() - image.float().mean()).abs().item() for pixels, _ in results]
    assert 5 < max(strength) < 60


def test_quarter_turns_and_flips_give_all_eight_views_of_image_and_map():
    pixels = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    image, id_map = tv_tensors.Image(pixels.expand(3, 3, 4)), tv_tensors.Mask(pixels.int())
    turn = v2.Compose(training_augmentation(4, rotate90=True).transforms[:-1])
    torch.manual_seed(0)
    seen = set()
    for _ in range(100):
        turned, ids = turn(image, id_map)
        assert torch.equal(turned[0].int(), ids) and isinstance(ids, tv_tensors.Mask)
        seen.add((tuple(ids.shape), *ids.flatten().tolist()))
    assert len(seen) == 8
    planes = tv_tensors.Mask(pixels.int().expand(2, 3, 4))  # segments that overlap
    assert training_augmentation(4, rotate90=True)(image, planes)[1].shape == (2, 4, 4)


def test_normalisation():
    image = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    torch.testing.assert_close(normalize(image, mean, std), functional.normalize(image.float() / 255, mean, std))


@pytest.mark.parametrize(("size", "low", "high"), [(0, 0.1, 2.0), (64, 0.0, 1.0), (64, 2.0, 1.0)])
def test_arguments_are_checked(size, low, high):
    with pytest.raises(ValueError, match=f"size={size}"):
        training_augmentation(size, low, high)
