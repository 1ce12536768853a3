import pytest
import torch

from eomt.criterion.targets import gather_targets

CPU = torch.device("cpu")
MASKS, MAPS, CLASSES, IDS = [torch.zeros(2, 8, 8)], torch.zeros(1, 8, 8).int(), [torch.tensor([0, 4])], [torch.tensor([1, 2])]
NONE = dict(mask_labels=None, class_labels=None, id_maps=None, segment_ids=None)


@pytest.mark.parametrize(
    "labels, said",
    [
        (dict(mask_labels=MASKS), "given as mask_labels; give either"),
        (dict(class_labels=CLASSES), "given as class_labels; give either"),
        (dict(id_maps=MAPS, class_labels=CLASSES), "given as class_labels, id_maps"),
        (dict(mask_labels=MASKS, id_maps=MAPS, segment_ids=IDS, class_labels=CLASSES), "id_maps, mask_labels"),
        (dict(mask_labels=MASKS * 2, class_labels=CLASSES * 2), "has 2 entries for 1 images"),
        (dict(id_maps=MAPS, segment_ids=IDS, class_labels=[]), "class_labels has 0 entries for 1 images"),
        (dict(mask_labels=[torch.zeros(8, 8)], class_labels=CLASSES), r"mask_labels\[0\] has shape \(8, 8\)"),
        (dict(id_maps=torch.zeros(1, 1, 1, 8, 8), segment_ids=IDS, class_labels=CLASSES), r"id_maps\[0\] has shape \(1, 1, 8, 8\)"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([1])]), r"class_labels\[0\] has shape \(1,\) for 2 segments"),
        (dict(id_maps=MAPS, segment_ids=IDS, class_labels=[torch.tensor([[0, 1]])]), r"class_labels\[0\] has shape \(1, 2\)"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([0, 5])]), r"class_labels\[0\] holds \[5\]; allowed are 0..4"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([-1, 7])]), r"holds \[-1, 7\]"),
        (dict(id_maps=MAPS, segment_ids=[torch.tensor([3, 3])], class_labels=CLASSES), r"segment_ids\[0\] names \[3, 3\].*twice"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(labels, said):
    with pytest.raises(ValueError, match=said):
        gather_targets(1, 5, **{**NONE, **labels}, device=CPU)


def test_the_model_says_so_too(tiny_model):
    with pytest.raises(ValueError, match=r"class_labels\[0\] holds \[9\]"):
        tiny_model()(torch.randn(1, 3, 64, 64), mask_labels=[torch.zeros(1, 64, 64)], class_labels=[torch.tensor([9])])


def test_no_labels_are_no_targets():
    assert gather_targets(1, 5, **NONE, device=CPU) is None


def test_both_forms_are_gathered():
    targets, classes = gather_targets(1, 5, MASKS, CLASSES, None, None, CPU)
    assert len(targets[0]) == 2 and targets[0].segment_ids is None and classes[0].dtype == torch.int64
    targets, _ = gather_targets(1, 5, None, [torch.tensor([0, 4], dtype=torch.int32)], MAPS, IDS, CPU)
    assert len(targets[0]) == 2 and torch.equal(targets[0].segment_ids, IDS[0])
