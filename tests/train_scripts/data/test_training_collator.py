"""Batches for the model: stacked, normalised, with the names of their images."""

import torch
from torch.utils.data import DataLoader

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data.training_collator import TrainingCollator, stack_id_maps
from eomt.train_scripts.data.training_stream import training_stream

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_a_training_batch(folder):
    stream = training_stream(folder, "train", training_augmentation(48), 0)
    batch = next(iter(DataLoader(stream, batch_size=4, collate_fn=TrainingCollator(MEAN, STD))))
    assert batch["pixel_values"].shape == (4, 3, 48, 48) and batch["pixel_values"].dtype == torch.float32
    assert batch["id_maps"].shape == (4, 48, 48) and batch["id_maps"].dtype == torch.int32
    assert batch["sample_keys"].shape == (4,) and batch["sample_keys"].dtype == torch.int64
    for id_map, ids, labels in zip(batch["id_maps"], batch["segment_ids"], batch["class_labels"], strict=True):
        assert len(ids) == len(labels) and set(ids.tolist()) == set(id_map.unique().tolist()) - {-1, 0}
    sample = next(iter(stream))
    plain = (sample["image"] / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(batch["pixel_values"][0], plain, atol=1e-5, rtol=1e-5)


def test_the_images_of_a_batch_are_named_and_skipped_rows_reported(folder):
    samples = [sample for sample, _ in zip(training_stream(folder, "train", training_augmentation(32), 0), range(3), strict=False)]
    samples[0]["skipped"], samples[2]["skipped"] = ["a broken photo"], ["no map", "no photo"]
    batch = TrainingCollator(MEAN, STD)(samples)
    names = ("image_id", "sample_key", "epoch", "worker", "row")
    assert batch["images"] == [{name: sample[name] for name in names} for sample in samples]
    assert [image["row"] for image in batch["images"]] == [1, 2, 3]
    assert batch["skipped"] == ["a broken photo", "no map", "no photo"]


def test_a_batch_that_was_trained_on_before_is_empty():
    assert TrainingCollator(MEAN, STD)([None, None]) == {}


def test_maps_with_fewer_planes_are_padded():
    plain, overlapping = torch.full((2, 2), 7, dtype=torch.int32), torch.arange(8, dtype=torch.int32).reshape(2, 2, 2)
    stacked = stack_id_maps([plain, overlapping])
    assert stacked.dtype == torch.int32 and stacked.tolist() == [[[[7, 7], [7, 7]], [[-1, -1], [-1, -1]]], overlapping.tolist()]
    assert stack_id_maps([plain, plain]).shape == (2, 2, 2)
