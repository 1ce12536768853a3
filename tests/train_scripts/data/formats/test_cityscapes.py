"""Cityscapes in its official form."""

import numpy as np
import pytest

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.source import Options

IDS = np.array([[7, 7, 4], [26, 11, 0]])  # road, road, static; car, building, unlabelled


def test_cityscapes(photo, index_image, prepared, tmp_path):
    name = "aachen/aachen_000000_000019"
    photo(tmp_path / f"leftImg8bit/train/{name}_leftImg8bit.png", (2, 3))
    index_image(tmp_path / f"gtFine/train/{name}_gtFine_labelIds.png", IDS)
    index_image(tmp_path / f"gtFine/train/{name}_gtFine_instanceIds.png", IDS)
    [sample] = prepared("cityscapes", tmp_path / "leftImg8bit/train", tmp_path / "gtFine/train")
    labels = read_labels(tmp_path / "out")
    assert len(labels) == 19 and labels.names[0] == "road" and labels.names[13] == "car" and labels.names[18] == "bicycle"
    assert sample.image_id == "aachen_000000_000019" and sample.class_labels.tolist() == [0, 2, 13]
    classes = dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True))
    assert [[classes.get(i) for i in row] for row in sample.id_map.tolist()] == [[0, 0, None], [13, 2, None]]
    photo(tmp_path / "leftImg8bit/train/aachen/aachen_1_leftImg8bit.png", (2, 3))
    folders = tmp_path / "leftImg8bit/train", tmp_path / "gtFine/train"
    with pytest.raises(ValueError, match=r"aachen_1_leftImg8bit.png has no \*_gtFine_labelIds.png"):
        prepared("cityscapes", *folders)
    (folders[0] / "aachen/aachen_1_leftImg8bit.png").rename(tmp_path / "elsewhere.png")
    index_image(folders[1] / "aachen/aachen_2_gtFine_labelIds.png", IDS)
    with pytest.raises(ValueError, match=r"aachen_2_gtFine_labelIds.png has no \*_leftImg8bit.png"):
        prepared("cityscapes", *folders)


def test_numbers_of_training_alone_are_answered_with_the_command(photo, index_image, prepared, tmp_path):
    name = "aachen/aachen_000000_000019"
    folders = tmp_path / "leftImg8bit/train", tmp_path / "gtFine/train"
    photo(folders[0] / f"{name}_leftImg8bit.png", (2, 3))
    index_image(folders[1] / f"{name}_gtFine_labelTrainIds.png", np.array([[0, 0, 255], [13, 2, 255]]))
    with pytest.raises(ValueError, match="--format masks --kind semantic --mask_suffix _gtFine_labelTrainIds --void 255") as error:
        prepared("cityscapes", *folders)
    classes = str(error.value).split("--classes ")[1].strip('"').split(",")
    options = Options(kind="semantic", classes=classes, void=[255], mask_suffix="_gtFine_labelTrainIds")
    [sample] = prepared("masks", *folders, options)
    assert sample.image_id == name and sample.class_labels.tolist() == [0, 2, 13] and classes[13] == "car"
