"""Very long images are refused before they are resized."""

import pytest
import torch

from eomt import EomtImageProcessor
from eomt.image_processing.averaging import AveragingProcessor
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.window_limit import MOST_WINDOWS, check_windows, within_limit

WINDOWS = EomtImageProcessor(size={"shortest_edge": 32}, do_split_image=True, do_pad=False)
PADDED = EomtImageProcessor(size={"shortest_edge": 32, "longest_edge": 32})


@pytest.mark.parametrize("processor", [WINDOWS, AveragingProcessor(WINDOWS, (1.0, 1.5), mirror=True)])
def test_an_image_has_64_windows_at_most(processor):
    for size in ((2, 2 * MOST_WINDOWS), (2 * MOST_WINDOWS, 2), (3000, 4000)):
        check_windows(processor, size, "a")
    for size in ((1, 5000), (5000, 1)):
        with pytest.raises(BadSample, match=f"^a is {size[1]} x {size[0]} and needs 5000 windows, of 64 at most; crop it$"):
            check_windows(processor, size, "a")


def test_other_processors_cut_none():
    for processor in (PADDED, lambda **_: {}):
        check_windows(processor, (1, 5000), "a")


def test_the_inputs_are_the_processors():
    image = torch.randint(0, 255, (3, 20, 50), dtype=torch.uint8)
    given = within_limit(WINDOWS)(images=[image], return_tensors="pt")
    assert torch.equal(given["pixel_values"], WINDOWS(images=[image], return_tensors="pt")["pixel_values"])
    with pytest.raises(BadSample, match="the image is 130 x 2 and needs 65 windows"):
        within_limit(WINDOWS)(images=[image[:, :2, :].repeat(1, 1, 3)[:, :, :130]], return_tensors="pt")
