"""Images to predict on: every kind of source gives names and images, shares have each once, and broken ones are set aside."""

import io
import zipfile

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.image_sources import ImageSource, ImageStream, image_number, open_source
from eomt.train_scripts.data.samples import decode_image
from eomt.train_scripts.data.shard_writer import write_split


def encoded(value: int) -> dict:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def names_of(source: ImageSource) -> list[tuple[str, str]]:
    return [(name, file_name) for name, file_name, _ in source.rows()]


def test_a_folder(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("b.png", "more/a.jpg"):
        Image.new("RGB", (6, 4)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    source = open_source(str(tmp_path))
    assert names_of(source) == [("b", "b.png"), ("more/a", "more/a.jpg")] and source.total == 2
    assert source.left_out == ["notes.txt"]


def test_a_prepared_dataset_and_its_splits(tmp_path):
    write_labels(tmp_path, scenes.LABELS)
    for split, count in (("train", 3), ("val", 2)):
        write_split(tmp_path, split, [scenes.make_row(0, split, index) for index in range(count)], count)
    assert names_of(open_source(str(tmp_path))) == [(f"val-0000{index}", f"val-0000{index}") for index in range(2)]
    assert len(names_of(open_source(str(tmp_path), "train"))) == 3
    with pytest.raises(ValueError, match="split 'test' is not in"):
        open_source(str(tmp_path), "test")


def test_parquet_files_with_other_columns(tmp_path):
    features = datasets.Features({"id": datasets.Value("int64"), "photo": datasets.Image()})
    rows = [{"id": 7, "photo": {**encoded(0), "path": "x/y.png"}}, {"id": None, "photo": encoded(1)}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "data.parquet")
    expected = [("7", "y.png"), ("00000001", "00000001")]
    for name in (tmp_path, tmp_path / "data.parquet"):
        assert names_of(open_source(str(name), column="photo")) == expected
    with pytest.raises(ValueError, match=r"has no column 'image', but \['id', 'photo'\]. Choose one by column"):
        names_of(open_source(str(tmp_path)))


def test_a_column_of_no_images(tmp_path):
    datasets.Dataset.from_dict({"image": ["photo.png"], "width": [3]}).to_parquet(tmp_path / "data.parquet")
    for column, kind in (("image", "str"), ("width", "int")):
        with pytest.raises(
            ValueError, match=f"images=.*data.parquet has {kind} in the column '{column}', not images. Choose another"
        ):
            names_of(open_source(str(tmp_path / "data.parquet"), column=column))


def test_image_files_in_an_archive_as_datasets_streams_them(tmp_path, monkeypatch):
    """`datasets` gives such rows, of a dataset of loose files on the Hub too: no bytes, and a path that fsspec reads."""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for value in (3, 9):
            archive.writestr(f"{value}.png", encoded(value)["bytes"])
    load, files = datasets.load_dataset, {"val": str(tmp_path / "photos.zip")}
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, split, streaming: load("imagefolder", data_files=files, split=split, streaming=streaming),
    )
    rows = list(open_source("org/photos").rows())
    assert [row[:2] for row in rows] == [("00000000", "3.png"), ("00000001", "9.png")]
    assert [row[2]["bytes"] for row in rows] == [None, None]
    assert [decode_image(row[2], row[0]).unique().tolist() for row in rows] == [[3], [9]]


def test_a_column_of_bytes_named_by_keys(tmp_path):
    rows = {"__key__": ["a", "b"], "image": [encoded(value)["bytes"] for value in (3, 9)]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data.parquet")
    rows = list(open_source(str(tmp_path)).rows())
    assert [row[0] for row in rows] == ["a", "b"]
    assert [decode_image(row[2], row[0]).unique().tolist() for row in rows] == [[3], [9]]


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match=r"images=.*clip.mp4 ends in none of .jpg, .*, .parquet; store it as one of these"):
        open_source(str(tmp_path / "clip.mp4"))


def test_nothing_of_that_name(tmp_path):
    with pytest.raises(ValueError, match="images=.*nowhere: no such file or folder here, and the Hub"):
        open_source(str(tmp_path / "nowhere"))


def test_numbers_as_names():
    assert [image_number(name) for name in ("000000000139", "7", "a7", "more/7", "9" * 19)] == [139, 7, "a7", "more/7", "9" * 19]


def processor(images, return_tensors):
    return {"pixel_values": images[0][None]}


def stream_of(rows: list[tuple[str, str, dict]], done: tuple[str, ...] = (), total: int | None = None, **options) -> ImageStream:
    return ImageStream(ImageSource(lambda: iter(rows), total), processor, done.__contains__, **options)


ROWS = [(f"photo {number}", f"{number}.png", encoded(number)) for number in range(20)]


@pytest.mark.parametrize("world_size", [1, 3])
def test_shares_have_each_image_once_and_in_order(world_size):
    for rank in range(world_size):
        stream = stream_of(ROWS, total=20, world_size=world_size, rank=rank, threads=3)
        examples = list(stream)
        assert [example["sample"].image_id for example in examples] == [name for name, *_ in ROWS[rank::world_size]]
        assert all(torch.equal(example["pixel_values"][0], example["sample"].image) for example in examples)
        assert stream.share == len(examples) and examples[-1]["sample"].file_name == ROWS[rank::world_size][-1][1]


def test_images_that_are_done_or_broken_are_left_out_and_counted():
    rows = [*ROWS[:4], ("photo 4", "4.png", {"bytes": b"hello", "path": None})]
    stream = stream_of(rows, done=("photo 1",), total=5)
    for _ in range(2):
        assert [example["sample"].image_id for example in stream] == ["photo 0", "photo 2", "photo 3"]
        assert stream.finished == 1 and list(stream.broken) == ["photo 4"] and "can't be decoded" in stream.broken["photo 4"]
        assert stream.share == 3
    assert stream_of(rows).share is None


@pytest.mark.parametrize(("views", "ahead"), [(1, 8), (3, 2), (30, 2)])
def test_an_image_of_many_views_is_not_read_far_ahead(views, ahead):
    """Each view is an input of the model, in memory."""
    read = iter(ROWS)
    stream = ImageStream(
        ImageSource(lambda: read, 20), lambda **_: {"pixel_values": torch.zeros(views, 3, 1, 1)}, lambda _: False, threads=2
    )
    for done, _ in enumerate(stream, 1):
        if done == 5:
            assert 20 - len(list(read)) == done + ahead
            break


@pytest.mark.parametrize("other", ["7", "0007"])
def test_two_images_of_one_name_are_refused(other):
    with pytest.raises(ValueError, match="two images have the name 7"):
        list(stream_of([("007", "a.png", encoded(0)), (other, "b.png", encoded(1))]))
