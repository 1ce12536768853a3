"""Masks that a loss picks from a prediction."""

import pytest
import torch

from eomt.prediction import Prediction, joined


@pytest.fixture
def factors():
    torch.manual_seed(0)
    return torch.randn(3, 5, 4, requires_grad=True), torch.randn(3, 4, 2, 6, requires_grad=True)


def prediction(embeddings, features, with_factors):
    mask_logits = torch.einsum("bqd,bdhw->bqhw", embeddings, features)
    return Prediction(mask_logits, torch.zeros(3, 5, 2), *((embeddings, features) if with_factors else ()))


@pytest.mark.parametrize(
    ("image", "query"),
    [([0, 0, 1, 2, 2, 2], [4, 0, 2, 1, 3, 0]), ([0, 2], [1, 1]), ([], [])],
    ids=["in order", "an image without", "no segment"],
)
def test_masks_and_gradients_are_those_of_picked_logits(factors, image, query):
    image, query = torch.tensor(image, dtype=torch.int64), torch.tensor(query, dtype=torch.int64)
    results = []
    for with_factors in (True, False):
        masks = prediction(*factors, with_factors).masks_of(image, query)
        results.append((masks, *torch.autograd.grad(masks.square().sum(), factors, allow_unused=True, materialize_grads=True)))
    assert results[0][0].shape == (len(image), 2, 6)
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("with_factors", [True, False])
def test_predictions_of_images_are_joined(factors, with_factors):
    whole = prediction(*factors, with_factors)
    parts = [Prediction(*(field if field is None else field[rows] for field in whole)) for rows in (slice(1), slice(1, 3))]
    for field, expected in zip(joined(parts), whole, strict=True):
        assert field is None if expected is None else torch.equal(field, expected)
