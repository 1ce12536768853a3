"""A mask for each object: in a folder for each image, or numbered; objects may overlap."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.object_masks import object_sets
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


@pytest.mark.parametrize(("choice", "expected"), [("upright", OBJECTS[0]), ("raw", OBJECTS[0][::-1, ::-1])])
def test_masks_of_photos_that_exif_turns(tmp_path, photo, index_image, prepared, choice, expected):
    exif = Image.Exif()
    exif[0x0112] = 3
    photo(tmp_path / "images/a.jpg", (4, 6), exif=exif)
    for number in range(2):
        index_image(tmp_path / f"masks/a/{number}.png", OBJECTS[0])
    with pytest.raises(ValueError, match="1 photos, .*/a.jpg, are turned .* give --mask_orientation upright or --mask_orientation"):
        prepared("masks", tmp_path / "images", tmp_path / "masks", OPTIONS)
    [sample] = prepared("masks", tmp_path / "images", tmp_path / "masks", replace(OPTIONS, mask_orientation=choice))
    assert np.array_equal(sample.id_map[0] > 0, expected > 0)


def test_masks_of_stored_pixels_are_turned(tmp_path, photo, index_image, prepared):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "images/a.jpg", (4, 6), exif=exif)
    for number, values in enumerate(OBJECTS):
        index_image(tmp_path / f"masks/a/{number}.png", values)
    [sample] = prepared("masks", tmp_path / "images", tmp_path / "masks", OPTIONS)
    assert [(sample.id_map == i).any(0).tolist() for i in sample.segment_ids] == [np.rot90(it, -1).tolist() for it in OBJECTS > 0]
    assert '"masks turned with the EXIF orientation of their photos": 1' in (tmp_path / "out/train_report.json").read_text()


def test_masks_are_sorted_to_their_images(tmp_path, photo, index_image):
    for name in ("b", "a", "c"):
        photo(tmp_path / f"images/{name}.png", (4, 6))
    masks = [index_image(tmp_path / f"masks/{name}.png", OBJECTS[0]) for name in ("a_1", "a_2", "b_1", "other_1")]
    sets, problems = object_sets(tmp_path / "images", tmp_path / "masks")
    assert [(stem, paths) for stem, _, paths in sets] == [("a", masks[:2]), ("b", masks[2:3])]
    assert "c.png has no mask in" in problems[0] and "other_1.png is named as no image" in problems[1]
