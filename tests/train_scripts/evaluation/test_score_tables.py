"""Tables of the scores of all tasks."""

import json

import pytest

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.score_tables import print_scores, score_tables

LABELS = Labels(["cat", "a rather long class name", "sky"], [True, True, False])


def test_tables_show_groups_sizes_and_classes_that_dont_occur():
    quality = {f"{name}{suffix}": 50.0 for name in ("pq", "sq", "rq") for suffix in ("", "_things")}
    rows = [None, {"pq": 12.34, "sq": 1.0, "rq": 2.0}, None]
    lines = score_tables({**quality, "per_class": rows}, LABELS).splitlines()
    assert lines[0].split() == ["PQ", "SQ", "RQ"] and [line.split()[0] for line in lines[1:3]] == ["all", "things"]
    assert lines[-3].split() == ["cat", "-", "-", "-"] and lines[-2].split()[-3:] == ["12.3", "1.0", "2.0"]
    precision = {"ap": 5.0, "ap50": 6.0, "ap75": 7.0, "ap_small": -1, "ap_medium": 8.0, "ap_large": 9.0}
    lines = score_tables({**precision, "per_class": [1.0, None, 2.0]}, LABELS).splitlines()
    assert lines[1].split() == ["all", "5.0", "6.0", "7.0", "-", "8.0", "9.0"] and lines[-1].split() == ["sky", "2.0"]
    lines = score_tables({"miou": 40.0, "pixel_accuracy": 90.0, "per_class": [1.0, 2.0, 3.0]}, LABELS).splitlines()
    assert lines[0].split() == ["mIoU", "pixel", "accuracy"] and lines[3].split() == ["class", "IoU"]


def test_what_a_model_costs_is_shown_where_it_is_known():
    scores = {"miou": 40.0, "pixel_accuracy": 90.0, "per_class": [1.0, 2.0, 3.0], "parameters": 23_980_000}
    assert [line.split() for line in score_tables(scores, LABELS).splitlines()[-2:]] == [
        ["million", "parameters"],
        ["model", "24.0"],
    ]
    times = {"preprocessing_ms": 1.0, "forward_ms": 20.0, "post_processing_ms": 3.0, "total_ms": 25.0, "images_per_second": 40.0}
    head, row = score_tables({**scores, "latency": {**times, "images": 9}}, LABELS).splitlines()[-2:]
    assert head.split("  ")[-1] == "images per second" and "preprocessing ms" in head
    assert row.split("  ")[0] == "one image at a time" and row.split()[-6:] == ["24.0", "1.0", "20.0", "3.0", "25.0", "40.0"]


@pytest.mark.parametrize(("scores", "head"), [({"pq": 10.0, "pq_stuff": -1.0}, "PQ  PQ stuff"), ({"ap": 10.0}, "AP")])
def test_before_and_after(tmp_path, capsys, scores, head):
    for prefix in ("before", "eval"):
        values = {f"{prefix}_{name}": value for name, value in scores.items()}
        (tmp_path / f"{prefix}_results.json").write_text(json.dumps({**values, f"{prefix}_runtime": 3.0}))
    print_scores(tmp_path, "photos")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("photos") and lines[0].endswith(head)
    assert lines[2].split() == ["after", "training", "10.0", *["-"] * (len(scores) - 1)]


def test_of_many_classes_the_highest_and_the_lowest_are_shown():
    labels = Labels([f"class {index}" for index in range(30)], [False] * 30)
    scores = {"miou": 15.0, "pixel_accuracy": 90.0, "per_class": [None, *map(float, range(1, 30))]}
    lines = score_tables(scores, labels, most=4).splitlines()[4:]
    assert [line.rsplit(maxsplit=1)[0].strip() for line in lines] == [
        "class 29",
        "class 28",
        "... 25 between",
        "class 2",
        "class 1",
    ]
    assert len(score_tables(scores, labels).splitlines()) == 4 + 30 == len(score_tables(scores, labels, most=30).splitlines())
