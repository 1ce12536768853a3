"""What the page knows of a checkpoint, and image processors that it refuses."""

import pytest

from eomt import EomtImageProcessor
from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.pictures import class_color
from eomt.train_scripts.web.page_settings import page_settings

SIZE = {"shortest_edge": 48, "longest_edge": 64}


def test_settings_are_those_of_the_processor():
    processor = EomtImageProcessor(size=SIZE, stuff_classes=[1], image_mean=[0.1, 0.2, 0.3])
    settings = page_settings(processor, ["cat", "sky"], (16, 32))
    assert settings["names"] == ["cat", "sky"] and settings["stuff"] == [1]
    assert settings["canvas"] == [48, 64] and settings["stretch"] is False
    assert settings["mean"] == [0.1, 0.2, 0.3] and settings["rescale_factor"] == 1 / 255
    assert settings["thresholds"]["score"] == THRESHOLD
    assert settings["colors"][0][1] == class_color(0, [True, False], 1) and len(settings["colors"][1]) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do_pad": False}, "do_pad=False .* set do_pad to true"),
        ({"size": {"shortest_edge": 64}}, "gives inputs of many sizes"),
        ({"do_resize": False}, "do_resize=False"),
        ({"resample": 3}, "resample=3: the page resizes bilinearly"),
        ({"size": {"shortest_edge": 48, "longest_edge": 60}}, "a width of 60, which must be a multiple of 32 for the model"),
        ({"size": {"height": 40, "width": 64}}, "a height of 40, which must be a multiple of 16 for the model"),
    ],
)
def test_a_processor_that_the_page_can_not_follow_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        page_settings(EomtImageProcessor(**{"size": SIZE, **fields}), ["cat"], (16, 32))
