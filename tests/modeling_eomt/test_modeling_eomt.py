import pytest
import torch
from transformers import AutoModel
from transformers.models.eomt import EomtConfig as StockConfig
from transformers.models.eomt import EomtForUniversalSegmentation as StockModel

from eomt import EomtForUniversalSegmentation
from eomt.token_merging import ALGM, merge_tokens


def stock_copy(model: EomtForUniversalSegmentation, **settings) -> StockModel:
    stock = StockModel._from_config(StockConfig(**model.config.to_dict()), **settings).eval()
    stock.load_state_dict(model.state_dict())
    return stock


class TestSizes:
    @pytest.mark.every_encoder
    @pytest.mark.parametrize("probs", [0.0, 1.0])
    @pytest.mark.parametrize("height, width", [(64, 128), (160, 96), (32, 128), (16, 16), (64, 64)])
    @torch.no_grad()
    def test_any_multiple_of_the_patch_size(self, height, width, probs, tiny_model):
        model = tiny_model(probs=probs)
        pixel_values = torch.randn(2, 3, height, width)
        outputs = model(pixel_values)
        assert outputs.masks_queries_logits.shape == (2, 8, height // 4, width // 4)
        grid = (height // 16, width // 16)
        prefix = model.embeddings.num_prefix_tokens
        assert outputs.last_hidden_state.shape == (2, 8 + prefix + grid[0] * grid[1], 64)
        model.resize_position_embeddings((height, width))  # stored at that size: nothing is interpolated any more
        assert model.config.image_size_hw == (height, width)
        torch.testing.assert_close(model(pixel_values).masks_queries_logits, outputs.masks_queries_logits, atol=1e-6, rtol=0)

    @pytest.mark.every_encoder
    @torch.no_grad()
    def test_a_batch_equals_its_images(self, tiny_model):
        model, pixel_values = tiny_model(probs=1.0), torch.randn(3, 3, 32, 96)
        single = torch.cat([model(image[None]).masks_queries_logits for image in pixel_values])
        torch.testing.assert_close(model(pixel_values).masks_queries_logits, single, atol=1e-5, rtol=0)

    @pytest.mark.every_encoder
    @pytest.mark.parametrize(
        "shape, said",
        [
            ((1, 3, 70, 64), "70x64 pixels.*16x16"),
            ((1, 3, 64, 65), "64x65"),
            ((1, 3, 0, 64), "0x64"),
            ((3, 64, 64), r"shape \(3, 64, 64\)"),
            ((1, 4, 64, 64), r"\(batch, 3, height, width\)"),
        ],
    )
    def test_others_are_refused(self, shape, said, tiny_model):
        with pytest.raises(ValueError, match=said):
            tiny_model()(torch.zeros(shape))


class TestOutputs:
    @pytest.mark.parametrize("probs", [0.0, 1.0])
    @pytest.mark.parametrize("implementation", ["eager", "sdpa"])
    @torch.no_grad()
    def test_hidden_states_and_attentions_equal_stocks(self, implementation, probs, tiny_model):
        model = tiny_model(probs=probs, attn_implementation=implementation)
        stock = stock_copy(model, attn_implementation=implementation)
        pixel_values = torch.randn(2, 3, 64, 64)
        wanted = dict(output_hidden_states=True, output_attentions=True)
        ours, theirs = model(pixel_values, **wanted), stock(pixel_values, **wanted)
        for field in ("last_hidden_state", "hidden_states", "attentions"):
            torch.testing.assert_close(ours[field], theirs[field], atol=1e-5, rtol=0)
        assert len(ours.hidden_states) == 5
        assert len(ours.attentions) == (4 if implementation == "eager" else 0)
        assert model(pixel_values).hidden_states is None and model(pixel_values).attentions is None

    @torch.no_grad()
    def test_tuples_begin_as_stocks(self, tiny_model, segments):
        model = tiny_model()
        pixel_values = torch.randn(2, 3, 64, 64)
        wanted = dict(output_hidden_states=True, return_dict=False, patch_offsets=[torch.tensor([0, 0, 64])])
        ours, theirs = model(pixel_values, **wanted), stock_copy(model)(pixel_values, **wanted)
        assert isinstance(ours, tuple) and len(ours) == len(theirs) == 5
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        _, _, class_labels, mask_labels = segments([2, 1])
        labelled = model(pixel_values, mask_labels, class_labels, return_dict=False)
        assert labelled[0].shape == ()
        torch.testing.assert_close(labelled[1:4], (*ours[:3],))
        assert set(labelled[4]) and len(labelled[5]) == 2  # what stock has no field for comes last

    @torch.no_grad()
    def test_block_predictions(self, tiny_model):
        model, pixel_values = tiny_model(probs=[0.0, 1.0]), torch.randn(2, 3, 64, 64)
        assert len(model(pixel_values).block_predictions) == 1
        model.set_attn_mask_probs([0, 0])
        outputs = model(pixel_values, output_hidden_states=True)
        assert outputs.block_predictions is None
        predictions = model.train()(pixel_values).block_predictions
        assert len(predictions) == 2
        again = model.predict(model.layernorm(outputs.hidden_states[3]), (4, 4))  # before the last block
        torch.testing.assert_close(predictions[1], again[:2], atol=1e-5, rtol=0)


@pytest.mark.every_encoder
def test_input_embeddings_are_those_of_patches(tiny_model):
    model = tiny_model()
    assert model.get_input_embeddings() is model.embeddings.patch_embeddings


@pytest.mark.every_encoder
def test_a_new_model_is_masked_and_finite(tiny_config):
    model = AutoModel.from_config(tiny_config())
    assert model.attn_mask_probs.tolist() == [1, 1]
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model(torch.randn(1, 3, 64, 64)).masks_queries_logits.isfinite().all()


def test_a_new_model_is_masked_and_initialised(tiny_config):
    model = EomtForUniversalSegmentation(tiny_config(layerscale_value=0.5))
    assert model.attn_mask_probs.tolist() == [1, 1]
    assert model.criterion.empty_weight.tolist() == pytest.approx([1] * 5 + [0.1])
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert model.layers[0].layer_scale1.lambda1.unique().item() == 0.5
    assert model.query.weight.std().item() == pytest.approx(1, abs=0.15)


class TestEncodedImages:
    @torch.no_grad()
    def test_tokens_after_any_block_before_the_queries_give_the_same(self, tiny_model):
        model, images = tiny_model(probs=1.0), torch.randn(2, 3, 64, 96)
        expected = model(images).masks_queries_logits
        for blocks in (None, 0, 1, 2):
            encoded = model.encode_images(images, blocks)
            assert torch.equal(model(images, encoded=encoded, encoded_blocks=blocks).masks_queries_logits, expected)
            compiled = torch.compile(model, backend="eager", fullgraph=True)
            assert torch.equal(compiled(images, encoded=encoded, encoded_blocks=blocks).masks_queries_logits, expected)

    def test_blocks_that_have_queries_are_refused(self, tiny_model):
        model, images = tiny_model(), torch.randn(1, 3, 64, 64)
        encoded = model.encode_images(images)
        for blocks in (-1, 3):
            with pytest.raises(ValueError, match=rf"^blocks={blocks} must be in 0\.\.2"):
                model.encode_images(images, blocks)
            with pytest.raises(ValueError, match=rf"encoded_blocks={blocks} must be in 0\.\.2"):
                model(images, encoded=encoded, encoded_blocks=blocks)
        with pytest.raises(ValueError, match="encoded_blocks=1 is of no use without encoded"):
            model(images, encoded_blocks=1)

    def test_tokens_of_other_images_are_refused(self, tiny_model):
        model, images = tiny_model(), torch.randn(2, 3, 64, 64)
        encoded = model.encode_images(images)
        for other in (encoded[:1], encoded[:, 1:], encoded[..., :32], encoded[0]):
            with pytest.raises(ValueError, match=r"encoded has shape .* have \(2, 21, 64\); give those of encode_images"):
                model(images, encoded=other)

    def test_merged_tokens_are_refused(self, tiny_model):
        model = tiny_model()
        merge_tokens(model, ALGM(local_block=1, global_block=2))
        with pytest.raises(ValueError, match=r"this model merges them; call merge_tokens\(model, None\)"):
            model.encode_images(torch.randn(1, 3, 64, 64))
