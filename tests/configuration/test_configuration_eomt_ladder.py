"""The configuration of the rows of Table 1: what can't be built is refused."""

from dataclasses import fields

import pytest
from huggingface_hub.errors import StrictDataclassError

from eomt.configuration import ARCHITECTURES, EomtLadderConfig, architecture_config, ladder_architecture


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (dict(row=4), "row=4 must be in 0..3, of Table 1; rows 4 and 5 are the model_type eomt"),
        (dict(num_blocks=4), "num_blocks=4 must be 0"),
        (dict(patch_size=14, image_size=448), "patch_size=14, num_upscale_blocks=2 must be 16 and 2"),
        (dict(num_upscale_blocks=3), "num_upscale_blocks=3 must be 16 and 2"),
        (dict(decoder_width=40), "decoder_width=40 must be a positive multiple of 32"),
        (dict(decoder_layers=2), "decoder_layers=2 at least 3, a layer for each scale"),
        (dict(num_hidden_layers=10), "num_hidden_layers=10 must be a multiple of 4 at row 0"),
        (dict(hidden_size=48, num_attention_heads=16), "hidden_size=48 must be a multiple of"),
        (dict(image_size=(64, 80)), r"image_size=\(64, 80\) must be a multiple of 32 at row 0.*; use 64 or 96"),
    ],
)
def test_what_can_not_be_built_is_refused(wrong, said):
    with pytest.raises(StrictDataclassError, match=said):
        EomtLadderConfig(**wrong)


def test_other_rows_take_any_depth_and_every_multiple_of_the_patch_size():
    assert EomtLadderConfig(row=1, num_hidden_layers=10, image_size=(64, 80)).grid_size == (4, 5)


def test_a_named_architecture_has_its_encoder_and_no_block_with_queries():
    config = ladder_architecture("giant", row=2, num_queries=100)
    assert (config.hidden_size, config.use_swiglu_ffn, config.num_blocks, config.row, config.num_queries) == (1536, True, 0, 2, 100)
    for name in ARCHITECTURES:
        config, encoder = ladder_architecture(name, row=0), architecture_config(name)
        assert config.model_type == f"{encoder.model_type}_ladder" and config.image_mean == encoder.image_mean
        shared = {field.name for field in fields(encoder)} - {"num_blocks"}
        assert {name: getattr(config, name) for name in shared} == {name: getattr(encoder, name) for name in shared}
    with pytest.raises(ValueError, match="architecture='huge' is unknown"):
        ladder_architecture("huge", row=0)
