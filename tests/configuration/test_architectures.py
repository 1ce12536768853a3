import pytest
import torch
from transformers import AutoModel

from eomt.configuration import ARCHITECTURES, architecture_config

PARAMETERS = {  # millions; of DINOv2, EVA-02 and DeiT-III the paper's, of DINOv3 those of transformers' model of the same shape
    "small": 23.98,
    "base": 93.66,
    "large": 316.70,
    "giant": 1163.62,
    "eva02_large": 316.73,
    "deit3_large": 316.69,
    "dinov3_small": 23.36,
    "dinov3_small_plus": 30.45,
    "dinov3_base": 92.43,
    "dinov3_large": 315.03,
    "dinov3_huge_plus": 859.08,
    "dinov3_7b": 6902.06,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_as_published(name):
    with torch.device("meta"):
        model = AutoModel.from_config(architecture_config(name, num_labels=133))
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(PARAMETERS[name], abs=0.01)


def test_overrides_win():
    config = architecture_config("small", num_blocks=4, image_size=1280)
    assert (config.num_blocks, config.image_size, config.hidden_size) == (4, 1280, 384)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'huge'.*" + ", ".join(ARCHITECTURES)):
        architecture_config("huge")
