"""Layers that ask for the embeddings of their stack are told them, and only while it runs."""

import copy

import pytest
import torch
from torch.testing import assert_close

from focused_attention import models
from tests.models.test_models import INVARIANCE, build, inputs

STATIC = {"encoder": "static_keys", "decoder": "static_keys"}


def other_mlps(model):
    """The same model, but for what its blocks make of what they have attended to."""
    changed = copy.deepcopy(model)
    for block in (*changed.encoder.blocks, *changed.decoder.blocks):
        torch.nn.init.normal_(block.mlp[2].weight)
    return changed


def self_attention(model):
    mel, tokens, frames = inputs()
    output = model(mel, tokens, frames, need_weights=True)
    return *output.decoder_weights, *output.encoder_weights


@pytest.mark.parametrize("name", models.MODELS)
def test_in_every_layer_weights_are_those_of_the_embeddings(name):
    static = build(name, **STATIC, **({"focus": "static_keys"} if name == "echo" else {}))
    for before, after in zip(*map(self_attention, (static, other_mlps(static))), strict=True):
        assert_close(after, before, **INVARIANCE)
    plain = build(name, encoder="whisper", decoder="whisper")
    *_, before = self_attention(plain)
    *_, after = self_attention(other_mlps(plain))
    assert not torch.allclose(after, before, atol=1e-3)


def test_a_layer_is_told_what_the_first_block_is_given_in_its_own_norm():
    model, given = build("whisper", **STATIC), {}
    for i, block in enumerate(model.encoder.blocks):
        torch.nn.init.normal_(block.attn_ln.weight)
        block.register_forward_pre_hook(
            lambda of, args, i=i: given.update({i: (args[0], of.attn.embedded)})
        )
    model.encoder(inputs()[0][:2, :, :33])
    for i, block in enumerate(model.encoder.blocks):
        assert torch.equal(given[i][1], block.attn_ln(given[0][0]))
    assert not torch.allclose(given[1][0], given[0][0], atol=1e-3)


def test_gradients_reach_the_embeddings_from_every_layer():
    model = build("whisper", **STATIC)
    mel, tokens, frames = inputs()
    model(mel.nan_to_num(), tokens, frames).logits.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.encoder.blocks[1].attn.query.weight.grad.abs().max() > 0


@pytest.mark.parametrize("chunks", [(1,) * 7, (3, 1, 3)], ids=str)
def test_what_is_decoded_step_by_step_is_what_is_decoded_at_once(chunks):
    model = build("whisper", **STATIC)
    mel, tokens, frames = inputs()
    encoded = model.encoder(mel, frames)
    cache = model.decoder.new_cache()
    steps = [
        model.decoder(part, encoded.audio, encoded.mask, cache=cache).logits
        for part in tokens.split(chunks, dim=1)
    ]
    whole = model.decoder(tokens, encoded.audio, encoded.mask).logits
    assert_close(torch.cat(steps, dim=1), whole, **INVARIANCE)


def test_nothing_is_kept_of_a_call_nor_of_one_that_failed():
    model = build("whisper", **STATIC)
    mel, tokens, frames = inputs()
    model(mel, tokens, frames)
    blocks = *model.encoder.blocks, *model.decoder.blocks
    assert [block.attn.embedded for block in blocks] == [None] * 4
    model.encoder.blocks[1].mlp = None
    with pytest.raises(TypeError):
        model(mel, tokens, frames)
    assert [block.attn.embedded for block in blocks] == [None] * 4
    assert not any("embedded" in name for name in model.state_dict())
