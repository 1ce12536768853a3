"""Several tasks on one frozen encoder."""

import copy

import pytest
import torch

from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.shared_encoder import OF_TRAINING, SharedEncoder
from eomt.token_merging import ALGM, merge_tokens


def with_other_heads(model: EomtForUniversalSegmentation, tiny_model, **fields) -> EomtForUniversalSegmentation:
    """A model of the same embeddings and blocks before the queries, and of other weights everywhere else."""
    other = tiny_model(seed=1, **fields)
    shared = min(model.first_query_block, other.first_query_block)
    other.embeddings.load_state_dict(model.embeddings.state_dict())
    other.layers[:shared].load_state_dict(model.layers[:shared].state_dict())
    return other


@pytest.mark.parametrize("model_type", ["eomt", "eomt_dinov3", "eomt_eva02"])
@pytest.mark.parametrize(
    ("fields", "shared"), [(dict(num_labels=3, num_queries=5), 2), (dict(num_blocks=1), 2), (dict(num_blocks=3), 1)]
)
def test_outputs_are_those_of_each_model_alone_and_shared_blocks_run_once(tiny_model, fields, shared):
    first = tiny_model(probs=1.0)
    second = with_other_heads(first, tiny_model, **fields)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        alone = [copy.deepcopy(model)(images) for model in (first, second)]
    encoder, runs = SharedEncoder({"a": first, "b": second}), []
    for index, layer in enumerate(first.layers):
        layer.register_forward_hook(lambda *_, index=index: runs.append(index))
    outputs = encoder(images)
    assert encoder.shared_blocks == shared and [runs.count(index) for index in range(shared)] == [1] * shared
    for output, expected in zip((outputs["a"], outputs["b"]), alone, strict=True):
        for name in ("masks_queries_logits", "class_queries_logits", "last_hidden_state"):
            assert torch.equal(output[name], expected[name])


@pytest.mark.parametrize("model_type", ["eomt", "eomt_dinov3", "eomt_eva02"])
def test_models_that_were_trained_otherwise_share_an_encoder(tiny_model, tiny_config):
    first = tiny_model()
    known = OF_TRAINING & set(tiny_config().to_dict())
    assert known >= {"hidden_dropout_prob", "attention_dropout", "drop_path_rate"}
    others = {name: 1.5 if name.startswith("pos_embed") else 0.3 for name in known}
    second = with_other_heads(first, tiny_model, **others)
    images = torch.randn(1, 3, 64, 64)
    expected = second(images).masks_queries_logits
    assert torch.equal(SharedEncoder({"a": first, "b": second})(images)["b"].masks_queries_logits, expected)


def test_models_in_training_are_refused(tiny_model):
    first = tiny_model()
    encoder = SharedEncoder({"a": first, "b": with_other_heads(first, tiny_model).train()})
    with pytest.raises(ValueError, match="model 'b' is in training mode.*call eval"):
        encoder(torch.randn(1, 3, 64, 64))


def test_the_encoder_is_held_once(tiny_model):
    first = tiny_model()
    second = with_other_heads(first, tiny_model)
    encoder = SharedEncoder({"a": first, "b": second})
    assert second.layers[0] is first.layers[0] and second.layers[2] is not first.layers[2]
    alone = sum(parameter.numel() for parameter in first.parameters())
    frozen = sum(parameter.numel() for part in (first.embeddings, first.layers[:2]) for parameter in part.parameters())
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2 * alone - frozen


def test_models_of_other_encoders_are_refused_with_what_differs(tiny_model):
    first = tiny_model()
    with pytest.raises(ValueError, match="models 'a' and 'b' differ in the weights embeddings.cls_token and share no encoder"):
        SharedEncoder({"a": first, "b": tiny_model(seed=1)})
    changed = with_other_heads(first, tiny_model)
    with torch.no_grad():
        changed.layers[1].norm1.bias[0] += 1e-6
    with pytest.raises(ValueError, match="in the weights layers.1.norm1.bias"):
        SharedEncoder({"a": first, "b": changed})
    with pytest.raises(ValueError, match="differ in image_size"):
        SharedEncoder({"a": first, "b": tiny_model(image_size=96)})
    with pytest.raises(ValueError, match="models is empty"):
        SharedEncoder({})


def test_merged_tokens_are_refused(tiny_model):
    model = tiny_model()
    merge_tokens(model, ALGM(local_block=1, global_block=2))
    with pytest.raises(ValueError, match="model 'a' merges tokens"):
        SharedEncoder({"a": model})


def test_a_training_step_on_encoded_images_is_that_on_the_images(tiny_model, segments):
    """Loss and gradients of what isn't frozen; nothing before the tokens gets any."""
    id_maps, segment_ids, class_labels, _ = segments([2, 3])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=torch.tensor([1, 2]))
    images, results = torch.randn(2, 3, 64, 64), []
    for encoded in (False, True):
        model = tiny_model(probs=0.5).train()
        model.freeze_encoder(-1)
        given = {"encoded": model.encode_images(images)} if encoded else {}
        model(images, **given, **labels).loss.backward()
        results.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*results)
    assert (
        not any(name.startswith(("embeddings.", "layers.0.", "layers.1.")) for name in results[0]) and "query.weight" in results[0]
    )
