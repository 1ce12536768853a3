"""Folders of images and masks to parquet shards: values, kinds of files, and an error that names file, value and way out."""

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.index_images import read_indices
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import decode_row

CLASSES = ["sky", "road", "car"]
OPTIONS = Options(kind="semantic", classes=CLASSES, void=[255])
MASK = np.array([[0, 0, 2, 255], [0, 1, 2, 255]], dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Five images, each of another kind of file, with one mask."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number, suffix in enumerate(["jpg", "png", "tif", "bmp", "jpeg"]):
        Image.fromarray(np.full((2, 4, 3), 40 * number, np.uint8)).save(tmp_path / "images" / f"{number}.{suffix}")
        Image.fromarray(MASK).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def run(folder, kind: str | None = "semantic", classes=CLASSES, void=(255,), split: str = "train", **options) -> dict[str, int]:
    """{split: images}"""
    split = Split(split, "masks", folder / "images", folder / "masks")
    reports = prepare([split], folder / "out", Options(kind=kind, classes=list(classes), void=list(void)), **options)
    return {name: report.images for name, report in reports.items()}


def rows_of(folder, split: str = "train") -> list[dict]:
    return list(load_split(folder / "out", split))


def put_mask(folder, mask: np.ndarray | Image.Image, name: str = "2.png") -> None:
    image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
    image.save(folder / "masks" / name)


def test_semantic_masks(folder):
    assert run(folder) == {"train": 5} and count_rows(folder / "out", "train") == 5
    assert read_labels(folder / "out") == Labels(CLASSES, [False] * 3)
    rows = rows_of(folder)
    assert [row["image_id"] for row in rows] == list("01234")
    assert rows[3]["image"]["bytes"] == (folder / "images" / "3.bmp").read_bytes()
    sample = decode_row(rows[0], 3, "here")
    ids = dict(zip(sample.class_labels.tolist(), sample.segment_ids.tolist(), strict=True))
    assert sorted(ids) == [0, 1, 2]  # class 0 is one, though its index is that of void in the stored form
    for label, segment in ids.items():
        assert np.array_equal(sample.id_map == segment, MASK == label)


def test_void_values_and_a_mask_of_nothing_else(folder):
    put_mask(folder, np.full((2, 4), 255, np.uint8))
    run(folder, empty="keep")
    assert rows_of(folder)[2]["segments"] == [] and not decode_row(rows_of(folder)[2], 3, "here").id_map.any()


@pytest.mark.parametrize("void", [-1, 2**31 - 1])
def test_void_may_be_any_integer(folder, void):
    mask = np.where(MASK == 255, void, MASK).astype(np.int32)
    Image.fromarray(mask, "I").save(folder / "masks" / "2.tif")
    (folder / "masks" / "2.png").unlink()
    run(folder, void=(void, 255))
    assert np.array_equal(decode_row(rows_of(folder)[2], 3, "here").id_map == 0, MASK == 255)


def test_palette_masks_are_read_as_indices(folder):
    image = Image.fromarray(MASK, "L").convert("P")
    image.putpalette([9, 8, 7] * 256)
    image.putdata(MASK.ravel().tolist())
    put_mask(folder, image)
    assert np.array_equal(read_indices(folder / "masks" / "2.png"), MASK)
    run(folder)
    assert len({row["id_map"]["bytes"] for row in rows_of(folder)}) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_instance_masks(folder, dtype):
    top = 60000 if dtype == np.uint16 else 200
    for number in range(5):
        put_mask(folder, np.where(MASK == 255, top, MASK.astype(dtype)).astype(dtype), f"{number}.png")
    assert run(folder, "instance", ["nucleus"], void=(), val_share=0.25) == {"train": 4, "val": 1}
    assert read_labels(folder / "out") == Labels(["nucleus"], [True])
    sample = decode_row(rows_of(folder, "val")[0], 1, "here")
    assert sample.image_id == "3" and sample.segment_ids.tolist() == [1, 2, top] and sample.class_labels.tolist() == [0] * 3
    assert np.array_equal(sample.id_map, np.where(MASK == 255, top, MASK.astype(np.int32)))


def test_each_second_image_is_held_out(folder):
    assert run(folder, val_share=0.5) == {"train": 3, "val": 2}
    assert [row["image_id"] for row in rows_of(folder, "val")] == ["1", "3"]
    assert [row["image_id"] for row in rows_of(folder)] == ["0", "2", "4"]


BROKEN = {
    "image without a mask": (lambda f: (f / "masks/1.png").unlink(), r"images/1\.png has no mask of the same stem in .*masks"),
    "mask without an image": (lambda f: (f / "images/0.jpg").unlink(), r"masks/0\.png has no image of the same stem in .*images"),
    "a stem twice": (lambda f: Image.new("RGB", (4, 2)).save(f / "images/0.bmp"), r"0\.bmp and .*0\.jpg have one stem"),
    "another size": (lambda f: put_mask(f, MASK[:1]), r"masks/2\.png is 4 x 1 pixels, but .*2\.tif 4 x 2"),
    "unknown value": (
        lambda f: put_mask(f, np.where(MASK == 1, 7, MASK)),
        r"masks/2\.png has the values \[7\] in 1 pixels, .* --classes 0:sky,1:road,2:car,7:NAME,255:void",
    ),
    "colours": (lambda f: put_mask(f, np.full((2, 4, 3), [9, 8, 7], np.uint8)), r"masks/2\.png has colours.* --classes 9,8,7:NAME"),
    "broken mask": (lambda f: (f / "masks/4.png").write_bytes(b"x"), r"masks/4\.png: can't be read"),
    "broken image": (lambda f: (f / "images/4.jpeg").write_bytes(b"x"), r"4\.jpeg: can't be read"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_file_is_named_and_nothing_is_written(folder, case):
    spoil, message = BROKEN[case]
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        run(folder, val_share=0.5)
    assert not (folder / "out").exists() or not any(path.name[0] != "." for path in (folder / "out").iterdir())


ARGUMENTS = {
    "no classes": (dict(classes=[]), "one or more names"),
    "a class twice": (dict(classes=["sky", "sky"]), "each once"),
    "a void value that is a class": (dict(void=[2]), r"void=\[2\] has \[2\], which classes names \['car'\]"),
    "instances of two classes": (dict(kind="instance", void=()), "kind='instance' has one class"),
    "unknown kind": (
        dict(kind=None, classes=["cell"], void=()),
        "kind=None: say what the values of .*masks are, one of semantic, instance",
    ),
    "too large a share": (dict(val_share=0.7), r"val_share=0.7 must lie in 0..0.5"),
    "too small a share": (dict(val_share=0.01), "needs 100 images, but there are 5"),
    "one name for two splits": (dict(val_share=0.5, split="val"), r"one split not named val, not \['val'\]"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments(folder, case):
    options, message = ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        run(folder, **options)
    assert not (folder / "out").exists()


def test_missing_and_empty_folders(folder):
    with pytest.raises(ValueError, match="images=.*nowhere: no such folder"):
        prepare([Split("train", "masks", folder / "nowhere", folder / "masks")], folder / "out", OPTIONS)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="annotations=.*empty has no file that ends in .png, .tif"):
        prepare([Split("train", "masks", folder / "images", folder / "empty")], folder / "out", OPTIONS)


def test_other_splits_and_classes_that_are_there(folder):
    run(folder)
    with pytest.raises(ValueError, match="has a split 'train' already"):
        run(folder)
    with pytest.raises(ValueError, match="other classes"):
        run(folder, classes=["a", "b", "c"], split="val")
    assert len(list((folder / "out").glob("*.parquet"))) == 1


def test_real_nuclei(shared_data, tmp_path):
    data = shared_data("dsb2018")
    split = Split("train", "masks", data / "images", data / "labels")
    reports = prepare([split], tmp_path, Options(kind="instance", classes=["nucleus"]), val_share=0.25)
    assert {name: report.images for name, report in reports.items()} == {"train": 103, "val": 34}
    assert sum(report.segments for report in reports.values()) == 6025
