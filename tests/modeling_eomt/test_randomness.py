import pytest
import torch

from eomt.randomness import ImageDraws, key_of

CPU = torch.device("cpu")


def test_keyed_draws_depend_on_key_and_purpose_alone():
    joint = ImageDraws(torch.tensor([5, -9, 7])).uniform("points", [2, 0, 3], (4, 2), CPU)
    alone = ImageDraws(torch.tensor([7])).uniform("points", [3], (4, 2), CPU)
    assert joint.shape == (5, 4, 2)
    assert torch.equal(joint[2:], alone)
    assert not torch.equal(alone, ImageDraws(torch.tensor([7])).uniform("other points", [3], (4, 2), CPU))
    assert not torch.equal(alone, ImageDraws(torch.tensor([8])).uniform("points", [3], (4, 2), CPU))


def test_keys_may_be_a_list():
    keys = [5, -9]
    expected = ImageDraws(torch.tensor(keys)).uniform("points", [2, 1], (4,), CPU)
    assert torch.equal(ImageDraws(keys).uniform("points", [2, 1], (4,), CPU), expected)


def test_keyed_draws_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    ImageDraws(torch.tensor([1])).uniform("points", [3], (2,), CPU)
    assert torch.equal(state, torch.get_rng_state())


def test_draws_without_keys_follow_the_global_generator():
    torch.manual_seed(3)
    drawn = ImageDraws().uniform("points", [1, 2], (2,), CPU)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3, 2))


def test_draws_are_uniform():
    drawn = ImageDraws(torch.arange(50)).uniform("points", [20] * 50, (10,), CPU).flatten()
    assert drawn.min() >= 0 and drawn.max() < 1
    assert drawn.histc(10, 0, 1).sub(1000).abs().max() < 150  # 5 standard deviations of a tenth of 10 000


def test_as_many_keys_as_images():
    with pytest.raises(ValueError, match="sample_keys has 2 entries for a batch of 3 images"):
        ImageDraws(torch.tensor([1, 2])).uniform("points", [1, 1, 1], (2,), CPU)


def test_a_batch_equals_its_images_one_by_one(tiny_model, segments):
    model = tiny_model(probs=[0.6, 0.3]).train()
    id_maps, segment_ids, class_labels, _ = segments([3, 0, 12])
    pixel_values, keys = torch.randn(3, 3, 64, 64), torch.tensor([11, 12, 13])

    def run(images: slice):
        return model(
            pixel_values[images],
            id_maps=id_maps[images],
            segment_ids=segment_ids[images],
            class_labels=class_labels[images],
            sample_keys=keys[images],
            loss_normalizers=torch.tensor([15.0, 13.0]),
        )

    joint = run(slice(None))
    single = [run(slice(image, image + 1)) for image in range(3)]
    logits = torch.cat([one.masks_queries_logits for one in single])
    torch.testing.assert_close(joint.masks_queries_logits, logits, atol=1e-5, rtol=0)
    for name, term in joint.loss_terms.items():
        torch.testing.assert_close(term, sum(one.loss_terms[name] for one in single), atol=1e-5, rtol=1e-5)


def test_keys_are_spread_and_fit_int64():
    keys = {key_of(seed, epoch, f"image {index}") for seed in range(3) for epoch in range(3) for index in range(50)}
    assert len(keys) == 450 and 0 <= min(keys) and max(keys) < 1 << 63


def test_another_use_of_the_same_keys_draws_other_numbers():
    keys, cpu = torch.tensor([3, 5]), torch.device("cpu")
    draws = ImageDraws(keys)
    apart = draws.apart("a")
    assert torch.equal(apart.uniform("x", [1, 2], (4,), cpu), ImageDraws(keys).apart("a").uniform("x", [1, 2], (4,), cpu))
    one, other, original = (source.uniform("x", [1, 2], (4,), cpu) for source in (apart, draws.apart("b"), draws))
    assert not (one == other).any() and not (one == original).any()
    assert ImageDraws().apart("a").uniform("x", [1, 2], (4,), cpu).shape == (3, 4)
