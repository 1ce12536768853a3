"""Image files: by their stems, as rows store them, their upright sizes and the values of index images."""

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.image_depth import refuse_dark_depths
from eomt.train_scripts.data.formats.image_files import (
    check_names_differ,
    encoded_file,
    files_below,
    image_size,
    images_by_stem,
    orientation_of,
    walk,
)
from eomt.train_scripts.data.formats.index_images import read_indices


def test_images_by_stem(photo, tmp_path):
    paths = [photo(tmp_path / name) for name in ("b/1.jpg", "a.rf.2.PNG", "b/c/1.tif")]
    (tmp_path / "notes.txt").write_text("")
    assert images_by_stem(tmp_path) == {"a.rf.2": paths[1], "b/1": paths[0], "b/c/1": paths[2]}
    assert list(images_by_stem(tmp_path)) == ["a.rf.2", "b/1", "b/c/1"]
    with pytest.raises(ValueError, match=r"masks=.* has no file that ends in .bmp"):
        images_by_stem(tmp_path, (".bmp",), "masks")
    photo(tmp_path / "b/1.png")
    with pytest.raises(ValueError, match=r"b/1.jpg and .*b/1.png have one stem"):
        images_by_stem(tmp_path)


def test_links_to_folders_are_followed_and_links_to_nothing_are_named(photo, tmp_path):
    store, images = tmp_path / "store", tmp_path / "images"
    paths = [photo(store / "far/1.png"), photo(images / "2.png")]
    (images / "cam").symlink_to(store)
    (store / "far" / "back").symlink_to(images)  # a ring
    (images / "gone.png").symlink_to(tmp_path / "nothing.png")
    found = [path.relative_to(images).as_posix() for path in walk(images)]
    assert found == ["2.png", "cam/far/1.png", "gone.png"]
    assert [path.resolve() for path in files_below(images)][:2] == [paths[1], paths[0]]
    with pytest.raises(BadSample, match="gone.png: no such file"):
        encoded_file(images_by_stem(images)["gone"])


def test_what_is_hidden_or_left_out_is_passed_over(photo, tmp_path):
    for name in ("b.png", "c.png", "a/b.png", "pred/b.png", ".trash/b.png", "__MACOSX/b.png", ".b.png"):
        photo(tmp_path / name)
    names = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path, without=[tmp_path / "a" / ".." / "pred"])]
    assert names == ["a/b.png", "b.png", "c.png"]
    assert list(walk(tmp_path / "nowhere")) == []


def test_names_that_differ_in_their_suffix_alone(tmp_path):
    check_names_differ(["a.jpg", "b/a.jpg", "a.b.jpg"], tmp_path)
    with pytest.raises(ValueError, match=r"more than one entry of \['b/a'\], suffixes aside"):
        check_names_differ(["a.jpg", "b/a.jpg", "b/a.png"], tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_sizes_are_those_of_the_upright_image(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert image_size(tmp_path / f"a.{suffix}") == ((30, 20) if orientation == 6 else (20, 30))


@pytest.mark.parametrize("orientation", [0, 9])
def test_orientations_that_are_none(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert orientation_of(tmp_path / "a.jpg") == 1 and image_size(tmp_path / "a.jpg") == (20, 30)


def test_images_of_too_many_pixels(tmp_path, monkeypatch):
    Image.new("I;16", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # Pillow refuses twice as many
    for read in (orientation_of, image_size, read_indices):
        with pytest.raises(BadSample, match="a.png: has too many pixels .* Cut image and annotations into tiles"):
            read(tmp_path / "a.png")
    refuse_dark_depths([tmp_path / "a.png"], "train")  # it is said where the image is read


def test_files_that_are_missing_or_broken(tmp_path):
    for read in (encoded_file, image_size):
        with pytest.raises(BadSample, match="gone.png: no such file. Give the folder that belongs to the annotations"):
            read(tmp_path / "gone.png")
    (tmp_path / "broken.png").write_bytes(b"hello")
    for read in (read_indices, image_size):
        with pytest.raises(BadSample, match="broken.png: can't be read as an image"):
            read(tmp_path / "broken.png")
    assert encoded_file(tmp_path / "broken.png") == {"bytes": b"hello", "path": "broken.png"}


def test_values_of_index_images(index_image, tmp_path):
    values = np.array([[0, 7], [255, 3]])
    assert np.array_equal(read_indices(index_image(tmp_path / "grey.png", values)), values)
    Image.fromarray((values * 200).astype(np.uint16)).save(tmp_path / "deep.png")
    assert np.array_equal(read_indices(tmp_path / "deep.png"), values * 200)
    Image.new("RGB", (2, 2), "red").save(tmp_path / "colours.png")
    with pytest.raises(BadSample, match="colours.png holds colours"):
        read_indices(tmp_path / "colours.png")
