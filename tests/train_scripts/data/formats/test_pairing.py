"""Images and masks are paired by their names, in two folders or in one, and a mask is never taken for an image."""

import unicodedata

import pytest

from eomt.train_scripts.data.formats.pairing import find_pairs, listed_stems


@pytest.fixture
def files(tmp_path):
    """`files(*names)`: empty files below a folder, which is returned; names are all that pairing reads."""

    def write(*names: str):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return write


NAMES = {
    "the same": (["i/a.jpg"], ["m/a.png"], ["a"]),
    "upper case": (["i/a.JPG"], ["m/a.PNG"], ["a"]),
    "a suffix": (["i/a.jpg", "i/b.jpg"], ["m/a_mask.png", "m/b_mask.png"], ["a", "b"]),
    "a suffix of one's own": (["i/a.jpg", "i/b.jpg"], ["m/a_Segmentation.final.png", "m/b_Segmentation.final.png"], ["a", "b"]),
    "ends of images": (["i/a_0000.png"], ["m/a.png"], ["a"]),
    "ends of both": (["i/a_leftImg8bit.png"], ["m/a_gtFine_labelIds.png"], ["a"]),
    "beginnings": (["i/image_1.png"], ["m/mask_1.png"], ["image_1"]),
    "folders": (["i/x/a.jpg", "i/y/a.jpg"], ["m/x/a.png", "m/y/a.png"], ["x/a", "y/a"]),
    "whole names of images": (["i/a.jpg"], ["m/a.jpg.png"], ["a"]),
    "numpy": (["i/a.jpg"], ["m/a.npy"], ["a"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_two_folders(files, case):
    images, masks, stems = NAMES[case]
    folder = files(*images, *masks)
    pairs, problems = find_pairs(folder / "i", folder / "m")
    assert problems == [] and pairs == list(zip(stems, [folder / n for n in images], [folder / n for n in masks], strict=True))


@pytest.mark.parametrize(
    ("image", "mask", "stem"),
    [("a.jpg", "a_mask.png", "a"), ("a.png", "a_label.png", "a"), ("a.jpg", "a.png", "a"), ("a_image.png", "a_mask.png", "a")],
)
def test_one_folder(files, image, mask, stem):
    folder = files(image, mask)
    assert find_pairs(folder, folder) == ([(stem, folder / image, folder / mask)], [])


def test_a_mask_without_its_image_is_no_image(files):
    folder = files("a.jpg", "a_mask.png", "b_mask.png", "c.jpg")
    pairs, problems = find_pairs(folder, folder)
    assert [stem for stem, _, _ in pairs] == ["a"] and len(problems) == 2
    assert "c.jpg has no mask that ends in _mask" in problems[0] and "b_mask.png has no image" in problems[1]


def test_a_folder_of_images_alone(files):
    folder = files("a.jpg", "b.jpg")
    with pytest.raises(ValueError, match="is the folder of the images, and no file there is named as the mask of another"):
        find_pairs(folder, folder)


def test_masks_below_the_images(files):
    folder = files("a.png", "masks/a.png")
    assert find_pairs(folder, folder / "masks") == ([("a", folder / "a.png", folder / "masks/a.png")], [])


def test_files_that_nobody_means(files):
    hidden = ["i/._a.jpg", "m/._a.png", "i/.ipynb_checkpoints/a-checkpoint.jpg", "i/__MACOSX/a.jpg", "i/Thumbs.db", "m/.DS_Store"]
    folder = files("i/a.jpg", "m/a.png", *hidden)
    assert find_pairs(folder / "i", folder / "m") == ([("a", folder / "i/a.jpg", folder / "m/a.png")], [])


@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_accents_are_one_character_or_two(files, suffix):
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    folder = files(f"i/{two}.jpg", f"m/{one}{suffix}.png")
    [(stem, _, _)], problems = find_pairs(folder / "i", folder / "m")
    assert stem == two and problems == []


def test_pictures_of_masks_are_passed_over(files):
    folder = files("i/a.jpg", "m/a_labelIds.png", "m/a_color.png")
    assert find_pairs(folder / "i", folder / "m") == ([("a", folder / "i/a.jpg", folder / "m/a_labelIds.png")], [])
    folder = files("i/b.jpg", "j/b.jpg", "n/b.png", "n/b_vis.png")
    assert find_pairs(folder / "j", folder / "n") == ([("b", folder / "j/b.jpg", folder / "n/b.png")], [])


def test_several_masks_of_an_image_take_a_choice(files):
    folder = files("i/a.jpg", "m/a_labelIds.png", "m/a_instanceIds.png")
    with pytest.raises(
        ValueError, match="end in _instanceIds, _labelIds. Choose those that are meant, as in --mask_suffix _labelIds"
    ):
        find_pairs(folder / "i", folder / "m")
    assert find_pairs(folder / "i", folder / "m", "_instanceIds")[0] == [("a", folder / "i/a.jpg", folder / "m/a_instanceIds.png")]


def test_a_list_of_stems(files):
    folder = files("i/a.jpg", "i/b.jpg", "i/unlabelled.jpg", "m/a.png", "m/b.png")
    assert [stem for stem, _, _ in find_pairs(folder / "i", folder / "m", stems=["a"])[0]] == ["a"]
    problems = find_pairs(folder / "i", folder / "m", stems=["a", "gone"])[1]
    assert len(problems) == 1 and "gone is in the list of the split" in problems[0]


def test_names_that_have_nothing_in_common(files):
    folder = files("i/a.jpg", "m/task-1.png")
    with pytest.raises(ValueError, match="no mask whose stem is that of an image .* a.jpg and task-1.png. .* by --mask_suffix"):
        find_pairs(folder / "i", folder / "m")


def test_one_image_and_one_mask(files):
    folder = files("photo.jpg", "drawing.png")
    assert find_pairs(folder / "photo.jpg", folder / "drawing.png")[0] == [("photo", folder / "photo.jpg", folder / "drawing.png")]


def test_stems_of_a_list(tmp_path, photo):
    for name in ("photo 1", "a b", "c", "sub/d"):
        photo(tmp_path / "images" / f"{name}.JPG")
    lines = ["photo 1", '"a b" 1', "c.jpg  -1", "c 0", "sub/d", "elsewhere/c", "sub/c", "", "gone 1"]
    (tmp_path / "list.txt").write_text("\n".join(lines), encoding="utf-8-sig")
    expected = ["photo 1", "a b", "c", "c", "sub/d", "c", "sub/c", "gone"]
    assert listed_stems(tmp_path / "list.txt", tmp_path / "images") == expected
