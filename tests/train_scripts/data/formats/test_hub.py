"""Local datasets of every encoding and of every form that `datasets` reads, prepared by the command. No network."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import count_rows, load_split, read_labels
from eomt.train_scripts.data.samples import Sample, decode_row
from eomt.train_scripts.prepare import main

CLASSES = np.array([[0, 0, 1], [2, 2, 1]], np.uint8)
NUMBERS = np.array([[0, 0, 4], [5, 6, 4]], np.uint8)
IDS = np.array([[1, 1, 300], [70000, 70001, 300]])
SEGMENTS = [{"id": 1, "category_id": 0}, {"id": 300, "category_id": 1}, {"id": 70000, "category_id": 2}]
SEGMENTS = [{**entry, "iscrowd": 0} for entry in [*SEGMENTS, {"id": 70001, "category_id": 2}]]
PETS = ["grass", "cat", "dog"]
TABLE = datasets.List({name: datasets.Value("int64") for name in ("id", "category_id", "iscrowd")})


def png(pixels: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def rgb(*channels: np.ndarray) -> np.ndarray:
    return np.stack([*channels, *[np.zeros_like(channels[0])] * (3 - len(channels))], -1).astype(np.uint8)


def rows(count: int = 4, label: np.ndarray = CLASSES, features: dict | None = None, **columns) -> datasets.Dataset:
    """Photos and labels, and more columns that are the same in each row."""
    content = [{"image": png(np.full((2, 3, 3), 9 * n, np.uint8)), "label": png(label), **columns} for n in range(count)]
    more = features or {}
    return datasets.Dataset.from_list(
        content, features=datasets.Features({"image": datasets.Image(), "label": datasets.Image(), **more})
    )


@pytest.fixture
def parquet(tmp_path) -> Callable[..., Path]:
    """`parquet(rows, split="train")`: a folder of such files."""

    def write(content: datasets.Dataset, split: str = "train") -> Path:
        (tmp_path / "hub").mkdir(exist_ok=True)
        content.to_parquet(tmp_path / "hub" / f"{split}-00000-of-00001.parquet")
        return tmp_path / "hub"

    return write


@pytest.fixture
def samples(tmp_path) -> Callable[..., list[Sample]]:
    """`samples(dataset, *words, split="train", out="out")`: those of a prepared split."""

    def run(dataset: Path, *words: str, split: str = "train", out: str = "out") -> list[Sample]:
        main(["--dataset", str(dataset), "--out", str(tmp_path / out), *words])
        labels = read_labels(tmp_path / out)
        return [decode_row(row, len(labels), "here") for row in load_split(tmp_path / out, split)]

    return run


@pytest.fixture
def refusal(tmp_path, capsys) -> Callable[..., str]:
    """`refusal(dataset, *words)`: the line that the command ends with."""

    def run(dataset: Path, *words: str) -> str:
        with pytest.raises(SystemExit):
            main(["--dataset", str(dataset), "--out", str(tmp_path / "out"), *words])
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("error: ")
        return line

    return run


def test_index_maps_with_names_of_features(parquet, samples, tmp_path):
    features = {"classes": datasets.List(datasets.ClassLabel(names=PETS)), "scene": datasets.ClassLabel(names=["in", "out"])}
    folder = parquet(rows(classes=[0], scene=1, features=features))
    parquet(rows(2, classes=[0], scene=1, features=features), "validation")
    taken = samples(folder)
    assert [sample.image_id for sample in taken] == [f"{number:08d}" for number in range(4)]
    assert read_labels(tmp_path / "out").names == PETS and read_labels(tmp_path / "out").isthing == [False] * 3
    assert taken[2].image[0, 0, 0] == 18 and (taken[2].id_map - 1).tolist() == CLASSES.tolist()
    assert count_rows(tmp_path / "out", "val") == 2  # of the split validation


def test_names_that_are_of_the_labels_for_certain_win(parquet, samples, tmp_path):
    features = {"tags": datasets.List(datasets.ClassLabel(names=["sunny", "rainy", "dark"]))}
    folder = parquet(rows(tags=[0], features=features))
    (folder / "id2label.json").write_text(json.dumps(PETS))
    samples(folder)
    assert read_labels(tmp_path / "out").names == PETS
    samples(folder, "--id2label", "tags", out="tags")
    assert read_labels(tmp_path / "tags").names == ["sunny", "rainy", "dark"]


@pytest.mark.parametrize("words", [["--void", "0"], ["--reduce_labels"]])
def test_names_of_a_json_beside_the_data_and_value_0_as_void(parquet, samples, tmp_path, words):
    folder = parquet(rows())
    names = PETS[1:] if words == ["--reduce_labels"] else PETS
    (folder / "id2label.json").write_text(json.dumps(dict(enumerate(names))))
    sample = samples(folder, *words)[0]
    assert read_labels(tmp_path / "out").names == PETS[1:]
    assert sample.id_map.tolist() == [[0, 0, 1], [2, 2, 1]] and sample.class_labels.tolist() == [0, 1]


def test_names_in_the_current_folder_are_of_another_dataset(parquet, samples, tmp_path, monkeypatch):
    folder = parquet(rows())
    (folder / "id2label.json").write_text(json.dumps(PETS))
    (tmp_path / "id2label.json").write_text(json.dumps(["a", "b", "c"]))
    monkeypatch.chdir(tmp_path)
    samples(folder)
    assert read_labels(tmp_path / "out").names == PETS
    samples(folder, "--id2label", "id2label.json", out="given")
    assert read_labels(tmp_path / "given").names == ["a", "b", "c"]


def test_class_in_red_and_instance_in_green(parquet, samples, tmp_path):
    mapping = {"background": 0, "cat": 1, "dog": 2}
    features = {"semantic_class_to_id": {name: datasets.Value("int64") for name in mapping}}
    sample = samples(parquet(rows(label=rgb(CLASSES, NUMBERS), semantic_class_to_id=mapping, features=features)))[0]
    assert read_labels(tmp_path / "out").names == ["cat", "dog"] and all(read_labels(tmp_path / "out").isthing)
    assert sample.class_labels.tolist() == [0, 1, 1] and sample.id_map.tolist() == [[0, 0, 1], [2, 3, 1]]


def test_ids_with_a_table(parquet, samples, tmp_path):
    names = [{"id": index, "name": name, "isthing": index > 0} for index, name in enumerate(PETS)]
    (tmp_path / "names.json").write_text(json.dumps(names))
    content = rows(label=rgb(IDS & 255, IDS >> 8 & 255, IDS >> 16), segments_info=SEGMENTS, features={"segments_info": TABLE})
    sample = samples(parquet(content), "--id2label", str(tmp_path / "names.json"))[0]
    assert read_labels(tmp_path / "out").isthing == [False, True, True]
    assert sample.class_labels.tolist() == [0, 1, 2, 2] and sample.id_map.tolist() == [[1, 1, 2], [3, 4, 2]]


def test_ids_of_objects_of_one_class(parquet, samples, refusal, tmp_path):
    folder = parquet(rows(label=NUMBERS.astype(np.uint16) * 100))
    line = refusal(folder, "--classes", "cell")
    assert "column label of" in line and "values that may be classes or ids of objects: say what they are by kind, one of" in line
    sample = samples(folder, "--classes", "cell", "--kind", "instance", "--background", "glass")[0]
    assert sample.class_labels.tolist() == [0, 0, 0, 1] and sample.id_map.tolist() == [[4, 4, 1], [2, 3, 1]]


def test_what_save_to_disk_leaves_and_a_parquet_file(parquet, samples, tmp_path):
    datasets.DatasetDict(train=rows(), test=rows(2)).save_to_disk(tmp_path / "saved")
    words = ["--classes", ",".join(PETS)]
    assert len(samples(tmp_path / "saved", *words, split="test")) == 2
    folder = parquet(rows(3))
    assert len(samples(folder / "train-00000-of-00001.parquet", *words, out="more")) == 3


def test_a_folder_of_images_with_a_table_as_source_or_dataset(photo, index_image, tmp_path, samples, refusal):
    lines = []
    for name in "ab":
        photo(tmp_path / "pets" / "train" / f"{name}.jpg", (2, 3))
        index_image(tmp_path / "pets" / "train" / "masks" / f"{name}.png", CLASSES)
        lines.append({"file_name": f"{name}.jpg", "mask": f"masks/{name}.png"})
    table = tmp_path / "pets" / "train" / "metadata.jsonl"
    table.write_text("\n".join(map(json.dumps, lines)))
    line = refusal(tmp_path / "pets", "--classes", ",".join(PETS))
    assert "has the columns ['image', 'mask'], of which ['image'] hold images" in line and "mask_file_name" in line
    table.write_text("\n".join(json.dumps({"file_name": entry["file_name"], "mask_file_name": entry["mask"]}) for entry in lines))
    main(["--source", str(tmp_path / "pets"), "--out", str(tmp_path / "first"), "--classes", ",".join(PETS)])
    first = list(load_split(tmp_path / "first", "train"))
    taken = samples(tmp_path / "pets", "--classes", ",".join(PETS))
    assert [sample.image_id for sample in taken] == [row["image_id"] for row in first] == ["a", "b"]
    assert (taken[1].id_map - 1).tolist() == CLASSES.tolist()


def test_one_split_by_either_name_and_images_to_hold_out(parquet, samples, refusal, tmp_path):
    folder = parquet(rows(5))
    parquet(rows(2), "validation")
    words = ["--classes", ",".join(PETS)]
    assert len(samples(folder, *words, "--split", "validation", split="val")) == 2
    assert [sample.image_id[-1] for sample in samples(folder, *words, "--split", "train")] == list("01234")
    line = refusal(folder, *words, "--split", "tests")
    assert "has no split 'tests', but ['train', 'validation']. Choose one of these by split" in line
    kept = samples(folder, *words, "--split", "train", "--val_share", ".5", out="half")
    assert [sample.image_id[-1] for sample in kept] == list("024")
    assert [row["image_id"][-1] for row in load_split(tmp_path / "half", "val")] == list("13")


def test_an_interrupted_run_goes_on_and_changed_files_are_read_again(parquet, samples, refusal, tmp_path):
    folder = parquet(datasets.concatenate_datasets([rows(2), rows(1, CLASSES + 7), rows(2)]))
    words = ["--classes", ",".join(PETS)]
    line = refusal(folder, *words)
    assert "hub, train 2: label has the values [7, 8, 9]; known are the classes 0..2 and void none" in line
    assert "If 0 is void and the first name is that of 1, give reduce_labels." in line
    parquet(rows(5, CLASSES.T.reshape(2, 3)))
    assert all((sample.id_map - 1).tolist() == CLASSES.T.reshape(2, 3).tolist() for sample in samples(folder, *words))


def test_columns_by_their_names(parquet, samples):
    depth = rows(depth=png(CLASSES), features={"depth": datasets.Image()})
    assert len(samples(parquet(depth.rename_column("label", "mask")), "--classes", ",".join(PETS), out="one")) == 4
    named = rows().rename_columns({"image": "pixel_values", "label": "annotation"})
    assert (samples(parquet(named), "--classes", ",".join(PETS), out="two")[3].image == 27).all()
    other = rows().rename_columns({"image": "x", "label": "y"})
    words = ["--classes", ",".join(PETS), "--label_column", "y"]
    assert len(samples(parquet(other), *words, out="three")) == 4


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (rows(), [], "says no names of the values. Give them by classes, or a json file by id2label"),
        (rows(), ["--id2label", "names.json"], "id2label='names.json' is no json file here or in "),
        (rows(), ["--label_column", "mask"], "label_column='mask' is no column of "),
        (rows(), ["--classes", "a", "--kind", "instance", "--class_key", "x"], "class_key mean nothing for the format datasets"),
        (rows(), ["--classes", "a,b,c", "--stuff", "a"], "stuff=['a'] means nothing for the kind semantic"),
        (rows(), ["--classes", "a,b,c", "--kind", "instance"], "is of objects of one class, not of ['a', 'b', 'c']"),
        (rows(label=rgb(CLASSES, NUMBERS, NUMBERS)), ["--classes", "a,b,c"], "has colours: say what they are by kind, one of"),
        (rows(mask=png(CLASSES), features={"mask": datasets.Image()}), ["--classes", "a,b,c"], "by label_column"),
        (rows(text="x", features={"text": datasets.Value("string")}), ["--label_column", "text"], "no images; those are in ['im"),
    ],
)
def test_what_the_dataset_leaves_open_is_asked_for_in_one_line(parquet, refusal, content, words, message):
    assert message in refusal(parquet(content), *words)


def test_a_dataset_that_does_not_exist(refusal):
    line = refusal(Path("nobody/nothing"))
    assert "dataset=nobody/nothing: no such folder here, and `datasets` can't open it: " in line
