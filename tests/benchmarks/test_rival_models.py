"""The paper's rivals: layers that only they have against a count by hand, and the whole models."""

import pytest
from rival_models import build_rival, count_rival, rival_config

from eomt.model_cards.sizes import count_parameters

SWIN = "mask2former_swin_large_coco_panoptic"
CONVNEXT = "oneformer_convnext_xlarge_cityscapes"


def test_released_sizes():
    swin, convnext = rival_config(SWIN), rival_config(CONVNEXT)
    assert (swin.num_queries, swin.num_labels, swin.decoder_layers) == (200, 133, 10)
    assert (swin.backbone_config.embed_dim, swin.backbone_config.window_size) == (192, 12)
    assert (convnext.num_queries, convnext.num_labels) == (250, 19)
    assert convnext.backbone_config.hidden_sizes == [256, 512, 1024, 2048]


def test_parameters():
    assert count_parameters(build_rival(SWIN)) == 215_538_682
    assert count_parameters(build_rival(CONVNEXT)) == 371_973_589


def test_a_block_of_swin_is_counted_as_by_hand():
    counts = count_rival(SWIN, (224, 256))
    width, window = 192, 12
    tokens, padded = 56 * 64, 60 * 72  # windows cover the map, so that attention runs on padded tokens
    attention = padded * (4 * width**2 + 2 * width * window**2)  # queries, keys, values and output; then QK and AV in a window
    mlp = 2 * 4 * width**2 * tokens
    norms = 2 * 5 * width * tokens
    block = "model.pixel_level_module.encoder.swin.encoder.layers.0.blocks.0"
    assert counts[block] == attention + mlp + norms


def test_a_layer_of_convnext_is_counted_as_by_hand():
    counts = count_rival(CONVNEXT, (224, 256))
    width, pixels = 256, 56 * 64
    depthwise, norm, mlp = 7 * 7 * width, 5 * width, 2 * 4 * width**2
    assert counts["model.pixel_level_module.encoder.encoder.stages.0.layers.0"] == pixels * (depthwise + norm + mlp)


def test_a_layer_of_oneformers_query_transformer_is_counted_as_by_hand():
    counts = count_rival(CONVNEXT, (224, 256))
    width, queries, pixels = 256, 249, 56 * 64  # the task token is the 250th
    self_attention = queries * (4 * width**2 + 2 * width * queries)
    cross_attention = 2 * queries * width**2 + 2 * pixels * width**2 + 2 * width * queries * pixels
    mlp, norms = 2 * 2048 * width * queries, 3 * 5 * width * queries
    layer = "model.transformer_module.decoder.query_transformer.decoder.layers.0"
    assert counts[layer] == self_attention + cross_attention + mlp + norms


def test_the_convolutional_rival_takes_four_times_as_much_for_an_image_as_for_its_quarter():
    quarter, whole = count_rival(CONVNEXT, (512, 1024))[""], count_rival(CONVNEXT, (1024, 2048))[""]
    assert quarter / 1e9 == pytest.approx(762.07, abs=0.005)
    assert whole / quarter == pytest.approx(4, rel=0.01)
