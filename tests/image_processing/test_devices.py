"""Post-processing of outputs of a device that isn't there: no operation mixes devices, and results are the CPU's."""

import pytest
import torch
from pretended_device import DEVICE, PretendedTensor, pretend, pretended_device

from eomt import EomtImageProcessor
from eomt.image_processing.averaging import AveragingProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.choices import CONFIDENCE_NAMES

CALLS = {
    "panoptic": {"threshold": 0.0, "overlap_mask_area_threshold": 0.0, "stuff_classes": [0, 1]},
    "instance": {"threshold": 0.0},
    "instance, binary maps": {"threshold": 0.0, "top_k": 5, "return_binary_maps": True},
    "instance, runs": {"threshold": 0.0, "return_coco_annotation": True},
    "instance, RLE": {"threshold": 0.0, "return_rles": True},
    "semantic": {},
    "semantic, scores": {"return_segmentation_scores": True},
    "semantic, probabilities": {"output_probabilities": True},
    **{f"panoptic, {name}": {"threshold": 0.0, "output_confidence": name} for name in CONFIDENCE_NAMES},
    **{f"semantic, {name}": {"output_confidence": name} for name in CONFIDENCE_NAMES},
}


@pytest.mark.parametrize("windows", [False, True], ids=["whole", "windows"])
@pytest.mark.parametrize("name", CALLS)
def test_post_processing(name, windows):
    task = name.partition(",")[0]
    if windows and task == "instance":
        return  # windows of instances can't be joined; tests/image_processing/test_instance.py
    settings = {"do_split_image": True, "size": {"shortest_edge": 64}} if windows else {"size": {"height": 64, "width": 64}}
    processor = EomtImageProcessor(**settings)
    inputs = processor(images=torch.zeros(3, 64, 110, dtype=torch.uint8), return_tensors="pt")
    generator = torch.Generator().manual_seed(0)
    masks = 4 * torch.randn(len(inputs["pixel_values"]), 6, 16, 16, generator=generator)
    classes = 3 * torch.randn(len(masks), 6, 5, generator=generator)
    call = getattr(processor, f"post_process_{task}_segmentation")
    results = []
    for place in (lambda tensor: tensor, pretend):
        outputs = EomtForUniversalSegmentationOutput(masks_queries_logits=place(masks), class_queries_logits=place(classes))
        outputs["image_layouts"] = place(inputs["image_layouts"])
        if windows:
            outputs["patch_offsets"] = [place(offset) for offset in inputs["patch_offsets"]]
        with pretended_device():
            results.append(call(outputs, target_sizes=[(96, 165)], **CALLS[name])[0])
    want, got = (parts(result) for result in results)
    assert want and len(want) == len(got)
    for mine, on_cpu in zip(got, want, strict=True):
        if isinstance(on_cpu, torch.Tensor):
            assert mine.device == DEVICE and isinstance(mine, PretendedTensor)
            torch.testing.assert_close(mine.held, on_cpu)
        else:
            assert mine == on_cpu


def test_views_of_an_image_on_a_device_are_made_on_the_cpu():
    processor = AveragingProcessor(EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True))
    image = torch.randint(0, 256, (3, 64, 110), dtype=torch.uint8)
    with pretended_device():
        got = processor(images=pretend(image))["pixel_values"]
    assert torch.equal(got, processor(images=image)["pixel_values"])


def parts(result) -> list:
    """A result's tensors and other values."""
    if isinstance(result, torch.Tensor):
        return [result]
    return list(result.values())
