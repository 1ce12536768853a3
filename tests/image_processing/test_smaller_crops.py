"""Batches of smaller crops show the same, and keep the segments that are left."""

import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from eomt.image_processing.smaller_crops import with_smaller_crops


def batch_of(id_maps: torch.Tensor) -> dict:
    """A batch of two crops, with segments 1 to 3 of classes 11 to 13 in each."""
    torch.manual_seed(0)
    labels = {"segment_ids": [torch.tensor([1, 2, 3])] * 2, "class_labels": [torch.tensor([11, 12, 13])] * 2}
    return {"pixel_values": torch.randn(2, 3, 48, 48), "id_maps": id_maps, **labels, "sample_keys": torch.tensor([7, 8])}


def test_images_and_ids_are_resized_about_the_same_centres():
    id_maps = torch.randint(1, 4, (2, 48, 48), dtype=torch.int32)
    batch = batch_of(id_maps)
    for side in (47, 32, 16):
        smaller = with_smaller_crops(batch, side)
        expected = functional.resize(batch["pixel_values"], [side, side], antialias=True)
        torch.testing.assert_close(smaller["pixel_values"], expected)
        assert torch.equal(smaller["id_maps"], functional.resize(id_maps, [side, side], InterpolationMode.NEAREST_EXACT))
        assert [ids.tolist() for ids in smaller["segment_ids"]] == [[1, 2, 3]] * 2
        assert torch.equal(smaller["sample_keys"], batch["sample_keys"])


def test_segments_without_a_pixel_are_left_out_also_of_planes():
    id_maps = torch.ones(2, 2, 48, 48, dtype=torch.int32)
    id_maps[0, 1, 0, 0] = 2  # between the centres that remain
    id_maps[1, 1, 10:30] = 3
    smaller = with_smaller_crops(batch_of(id_maps), 16)
    assert smaller["id_maps"].shape == (2, 2, 16, 16)
    assert [ids.tolist() for ids in smaller["segment_ids"]] == [[1], [1, 3]]
    assert [labels.tolist() for labels in smaller["class_labels"]] == [[11], [11, 13]]
