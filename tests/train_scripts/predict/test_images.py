"""What is predicted: folders, one image, parquet shards, streams; images that are broken or named alike."""

import errno
import json
import shutil

import datasets
import numpy as np
import pytest
from PIL import Image
from predicted_photos import NAMES, run

from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.prediction_formats import PanopticFormat
from eomt.train_scripts.predict import main, predict


def test_a_broken_image_is_reported_and_tried_again(checkpoints, photos, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (photos / f"{NAMES[0]}.png").read_bytes()
    (folder / "a.png").write_bytes(whole)
    (folder / "b.png").write_bytes(whole[:300])
    words = f"--checkpoint {checkpoints}/panoptic --images {folder} --task panoptic --output {tmp_path}/out --threshold 0.05"
    main(words.split())
    assert "1 predicted, 0 done, 1 broken; in" in capsys.readouterr().out
    assert "can't be decoded" in json.loads((tmp_path / "out" / "broken.json").read_text())["b"]
    (folder / "b.png").write_bytes(whole)
    main(words.split())
    assert "1 predicted, 1 done, 0 broken" in capsys.readouterr().out and not (tmp_path / "out" / "broken.json").exists()
    pictures = [(tmp_path / "out" / "panoptic" / f"{name}.png").read_bytes() for name in "ab"]
    assert pictures[0] == pictures[1]


def test_parquet_shards_and_streams(checkpoints, tmp_path):
    write_scenes(tmp_path / "scenes", train=1, val=3)
    assert run(checkpoints, tmp_path / "scenes", "panoptic", tmp_path / "a", split="val")["predicted"] == 3
    shard = tmp_path / "scenes" / "val-00000-of-00001.parquet"
    assert run(checkpoints, shard, "panoptic", tmp_path / "b")["predicted"] == 3
    for name in ("val-00000", "val-00002"):
        assert (tmp_path / "a/panoptic" / f"{name}.png").read_bytes() == (tmp_path / "b/panoptic" / f"{name}.png").read_bytes()
    with pytest.raises(ValueError, match="has no column 'photo', but .*'image'"):
        run(checkpoints, shard, "panoptic", tmp_path / "c", column="photo")


def test_a_stream_of_datasets_by_name(checkpoints, photos, tmp_path, monkeypatch):
    """As of the Hub, which is not asked here: rows that have a name each, and no number that is known before."""
    images = datasets.Features({"id": datasets.Value("string"), "photo": datasets.Image()})
    rows = [{"id": name, "photo": {"bytes": (photos / f"{name}.png").read_bytes(), "path": None}} for name in NAMES]
    asked = []

    def load_dataset(name, **options):
        asked.append((name, options))
        return datasets.IterableDataset.from_generator(lambda: iter(rows), features=images, split=options["split"])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    words = str(checkpoints / "panoptic"), "org/photos", "panoptic", tmp_path / "stream"
    assert predict(*words, split="test", column="photo", threshold=0.05, bf16=False)["predicted"] == 5
    assert asked == [("org/photos", {"split": "test", "streaming": True})]
    run(checkpoints, photos, "panoptic", tmp_path / "folder")
    for name in NAMES:
        assert (tmp_path / f"stream/panoptic/{name}.png").read_bytes() == (tmp_path / f"folder/panoptic/{name}.png").read_bytes()


def test_a_name_that_is_nothing_leaves_the_output_folder_free(checkpoints, photos, tmp_path):
    for gone in (tmp_path / "gone", "org/gone"):  # the second would be asked of the Hub
        with pytest.raises(ValueError, match="images=.*gone: no such file or folder here, and the Hub"):
            run(checkpoints, gone, "panoptic", tmp_path / "out")
    (tmp_path / "shards").mkdir()
    images = datasets.Features({"photo": datasets.Image()})
    rows = [{"photo": {"bytes": (photos / f"{name}.png").read_bytes(), "path": None}} for name in NAMES[:2]]
    datasets.Dataset.from_list(rows, features=images).to_parquet(tmp_path / "shards" / "any.parquet")
    with pytest.raises(ValueError, match="has no column 'image', but .*'photo'"):
        run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "out")
    assert run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "out", column="photo")["predicted"] == 2
    (tmp_path / "shards" / "any.parquet").rename(tmp_path / "shards" / "test-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"split 'val' is not in .*shards, which has \['test'\]"):
        run(checkpoints, tmp_path / "shards", "panoptic", tmp_path / "new", column="photo")


def test_images_by_any_usual_suffix_and_other_files_are_counted(checkpoints, tmp_path, caplog):
    """Cameras, browsers and old tools name JPEGs in many ways; what is left out is told."""
    (tmp_path / "in").mkdir()
    image = Image.fromarray(np.zeros((48, 64, 3), np.uint8))
    for name, form in (
        ("a.jpg", "JPEG"),
        ("b.jfif", "JPEG"),
        ("c.JPE", "JPEG"),
        ("d.gif", "GIF"),
        ("e.ppm", "PPM"),
        ("f.webp", "WEBP"),
    ):
        image.save(tmp_path / "in" / name, form)
    (tmp_path / "in" / "notes.txt").write_text("of no image")
    counts = predict(str(checkpoints / "semantic"), str(tmp_path / "in"), "semantic", str(tmp_path / "out"))
    assert counts == {"predicted": 6, "done": 0, "broken": 0}
    assert "left out: 1 files that are no images by their suffix, such as notes.txt" in caplog.text


def test_one_image(checkpoints, photos, tmp_path):
    counts = predict(checkpoints / "semantic", photos / "more" / "x.png", "semantic", tmp_path / "out")
    assert counts == {"predicted": 1, "done": 0, "broken": 0} and (tmp_path / "out/semantic/x.png").is_file()


def test_an_image_whose_files_cant_have_its_name_is_reported_and_the_others_go_on(checkpoints, photos, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    names = ["x" * 250, "x" * 251, "y"]  # of the second, the record's name would have 256 bytes
    for name in names:
        shutil.copy(photos / "more" / "x.png", tmp_path / "photos" / f"{name}.png")
    for done in (0, 2):
        counts = run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "out")
        assert counts == {"predicted": 2 - done, "done": done, "broken": 1}
    broken = json.loads((tmp_path / "out" / "broken.json").read_text())
    assert list(broken) == [names[1]] and "its files can't have its name (File name too long)" in broken[names[1]]
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):

        def full(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(PanopticFormat, "write", full)
        run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "other")


def test_an_image_of_too_many_windows_is_reported(checkpoints, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (5000, 1)).save(tmp_path / "photos" / "a.png")
    shutil.copy(photos / "more" / "x.png", tmp_path / "photos" / "b.png")
    assert run(checkpoints, tmp_path / "photos", "semantic", tmp_path / "out") == {"predicted": 1, "done": 0, "broken": 1}
    assert json.loads((tmp_path / "out" / "broken.json").read_text()) == {
        "a": "the image is 5000 x 1 and needs 5000 windows, of 64 at most; crop it"
    }


def test_pictures_of_images_that_are_longer_than_a_jpeg(checkpoints, tmp_path):
    Image.new("RGB", (66_000, 2)).save(tmp_path / "wide.png")
    assert run(checkpoints, tmp_path / "wide.png", "panoptic", tmp_path / "out", overlays=True)["predicted"] == 1
    with Image.open(tmp_path / "out" / "overlays" / "wide.jpg") as picture:
        assert picture.size == (65_500, 2)


def test_names_that_are_one_number(checkpoints, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("1.png", "01.png"):
        shutil.copy(photos / f"{NAMES[0]}.png", tmp_path / "photos" / name)
    with pytest.raises(ValueError, match="two images have the name 1, so that one would replace the other"):
        run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "out")


def test_damaged_files_of_any_kind_are_reported(checkpoints, photos, tmp_path):
    (tmp_path / "photos").mkdir()
    whole = (photos / f"{NAMES[0]}.png").read_bytes()
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "photos" / "a.tif")
    (tmp_path / "photos" / "b.png").write_bytes(whole[:16] + (60000).to_bytes(4, "big") * 2 + whole[24:])  # 3,600 megapixels
    (tmp_path / "photos" / "c.png").write_bytes(b"")
    (tmp_path / "photos" / "d.png").write_bytes(whole)
    assert run(checkpoints, tmp_path / "photos", "panoptic", tmp_path / "out") == {"predicted": 1, "done": 0, "broken": 3}
