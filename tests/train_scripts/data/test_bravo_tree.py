"""The tree of BRAVO: each subset's images with all their files, and what is missing."""

import pytest

from eomt.train_scripts.data.bravo_tree import SUBSETS, bravo_images

MAPS = dict(label=[[0]], invalid=[[0]], classes=[[0]], confidence=[[0]])


def test_the_subsets_are_nine_of_which_eight_have_classes_and_two_unknown_objects():
    assert len(SUBSETS) == 9 and len({subset.name for subset in SUBSETS}) == 9
    assert [subset.name for subset in SUBSETS if not subset.of_classes] == ["SMIYC"]
    assert [subset.name for subset in SUBSETS if subset.of_unknown] == ["synobjs", "SMIYC"]


def test_each_subset_has_its_images_with_their_files(bravo_tree):
    for name in ("one", "two"):
        truth, predictions = bravo_tree([subset.name for subset in SUBSETS], name, **MAPS)
    for subset in SUBSETS:
        images = list(bravo_images(subset, truth, predictions))
        files = [path for image in images for path in (image.label, image.invalid, image.prediction, image.confidence)]
        assert len(images) == 2 and len(set(files)) == 8 and all(path.is_file() for path in files)
        assert subset.weather is None or all(subset.weather in path.parts for path in files)


def test_a_subset_that_is_not_there_has_no_images(bravo_tree):
    folders = bravo_tree(["ACDCfog"], "one", **MAPS)
    assert {subset.name: len(list(bravo_images(subset, *folders))) for subset in SUBSETS if "ACDC" in subset.name} == {
        "ACDCfog": 1,
        "ACDCrain": 0,
        "ACDCnight": 0,
        "ACDCsnow": 0,
    }


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "truth/bravo_SMIYC/RoadAnomaly21/images/one_labels_semantic.png",
            "has no mask of invalid pixels, one_labels_semantic.png",
        ),
        ("predictions/bravo_SMIYC/RoadAnomaly21/images/one_pred.png", "has no bravo_SMIYC/RoadAnomaly21/images/one_pred.png"),
        ("predictions/bravo_SMIYC/RoadAnomaly21/images/one_conf.png", "has no bravo_SMIYC/RoadAnomaly21/images/one_conf.png"),
    ],
)
def test_a_missing_file_is_named(bravo_tree, missing, message):
    truth, predictions = bravo_tree(["SMIYC"], "one", **MAPS)
    (truth.parent / missing).unlink()
    with pytest.raises(ValueError, match=message):
        list(bravo_images(SUBSETS[-1], truth, predictions))
