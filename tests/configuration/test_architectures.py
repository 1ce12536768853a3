import pytest
import torch

from eomt import EomtForUniversalSegmentation
from eomt.configuration import ARCHITECTURES, architecture_config


@pytest.mark.parametrize("name, millions", [("small", 23.98), ("base", 93.66), ("large", 316.70), ("giant", 1163.62)])
def test_parameters_are_the_papers(name, millions):
    with torch.device("meta"):
        model = EomtForUniversalSegmentation(architecture_config(name, num_labels=133))
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_overrides_win():
    config = architecture_config("small", num_blocks=4, image_size=1280)
    assert (config.num_blocks, config.image_size, config.hidden_size) == (4, 1280, 384)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'huge'.*" + ", ".join(ARCHITECTURES)):
        architecture_config("huge")
