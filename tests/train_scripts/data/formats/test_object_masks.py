"""A mask for each object: in a folder for each image, or numbered; objects may overlap."""

import numpy as np
import pytest

from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.source import Options

OBJECTS = np.zeros((2, 4, 6), dtype=np.int64)
OBJECTS[0, :2, :3] = OBJECTS[1, 1:, 2:] = 255  # they overlap in one pixel
OPTIONS = Options(kind="instance", classes=["nucleus"])
LAYOUTS = {
    "a folder for each image": ("a/images/a.png", "a/masks/{}.png", ".", "."),
    "folders named as the images": ("images/a.jpg", "masks/a/{}.png", "images", "masks"),
    "numbered": ("images/a.jpg", "masks/a_mask_{}.png", "images", "masks"),
}


@pytest.fixture(params=LAYOUTS)
def folders(request, tmp_path, photo, index_image):
    """Images and masks of one photo with two objects."""
    image, mask, images, masks = LAYOUTS[request.param]
    photo(tmp_path / "set" / image, (4, 6))
    for number, values in enumerate(OBJECTS):
        index_image(tmp_path / "set" / mask.format(number), values)
    return tmp_path / "set" / images, tmp_path / "set" / masks


def test_each_mask_is_an_object(folders, prepared):
    [sample] = prepared("masks", *folders, OPTIONS)
    assert sample.image_id == "a" and sample.class_labels.tolist() == [0, 0]
    assert [(sample.id_map == i).any(0).tolist() for i in sample.segment_ids] == (OBJECTS > 0).tolist()


def test_the_layout_is_detected(folders, tmp_path):
    [split] = find_splits(tmp_path)
    assert (split.format, split.images, split.annotations) == ("masks", *folders)


def test_they_are_no_masks_of_classes(folders, prepared):
    with pytest.raises(ValueError, match="has a mask for each object, not one for each image. Give --kind instance"):
        prepared("masks", *folders, Options(kind="semantic", classes=["background", "nucleus"]))


def test_splits_of_images_with_folders(tmp_path, photo, index_image):
    for stem in "ab":
        photo(tmp_path / f"stage1_train/{stem}/images/{stem}.png")
        index_image(tmp_path / f"stage1_train/{stem}/masks/1.png", OBJECTS[0])
    [split] = find_splits(tmp_path)
    assert (split.name, split.kind, split.images) == ("train", "instance", tmp_path / "stage1_train")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (OBJECTS[0][:2], "6 x 2 pixels, but the .* 6 x 4"),
        (np.arange(24).reshape(4, 6), "the mask of one object has 0 and one other"),
    ],
)
def test_masks_that_are_wrong(tmp_path, photo, index_image, prepared, values, message):
    photo(tmp_path / "images/a.png", (4, 6))
    index_image(tmp_path / "masks/a/1.png", OBJECTS[0])
    index_image(tmp_path / "masks/a/2.png", values)
    with pytest.raises(ValueError, match=message):
        prepared("masks", tmp_path / "images", tmp_path / "masks", OPTIONS)


def test_masks_named_by_tasks_have_no_images(tmp_path, photo, index_image, prepared):
    photo(tmp_path / "images/a.png", (4, 6))
    index_image(tmp_path / "masks/task-1-annotation-1-by-1-tag-cat-0.png", OBJECTS[0])
    with pytest.raises(ValueError, match="has Label Studio's brush masks, .* Export the project as JSON"):
        prepared("masks", tmp_path / "images", tmp_path / "masks", Options(kind="semantic", classes=["background", "cat"]))
