"""Our Whisper against openai-whisper with the same random weights."""

import pytest
import torch
import whisper.model
from torch.testing import assert_close

from focused_attention import models

TOLERANCE = {"rtol": 0, "atol": 1e-4}

SIZES = {
    "tiny-ish": {"n_audio_ctx": 75, "n_state": 64, "n_head": 4, "n_layer": 2, "n_mels": 80},
    "one-head": {"n_audio_ctx": 13, "n_state": 16, "n_head": 1, "n_layer": 1, "n_mels": 80},
    "many-heads": {"n_audio_ctx": 50, "n_state": 96, "n_head": 16, "n_layer": 3, "n_mels": 128},
    "30-seconds": {"n_audio_ctx": 1500, "n_state": 32, "n_head": 2, "n_layer": 1, "n_mels": 80},
}


def dimensions(n_audio_ctx, n_state, n_head, n_layer, n_mels):
    return {
        "n_mels": n_mels,
        "n_audio_ctx": n_audio_ctx,
        "n_audio_state": n_state,
        "n_audio_head": n_head,
        "n_audio_layer": n_layer,
        "n_vocab": 203,
        "n_text_ctx": 48,
        "n_text_state": n_state,
        "n_text_head": n_head,
        "n_text_layer": n_layer + 1,
    }


def pair(size):
    """openai-whisper's model with random weights, biases and norms, and ours with the same."""
    torch.manual_seed(0)
    dims = dimensions(**SIZES[size])
    theirs = whisper.model.Whisper(whisper.model.ModelDimensions(**dims)).eval()
    with torch.no_grad():
        theirs.decoder.positional_embedding.normal_()
        theirs.decoder.token_embedding.weight.normal_(std=0.3)
        for module in theirs.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_()
    ours = models.build("whisper", **dims).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


@pytest.fixture(scope="module", params=SIZES)
def both(request):
    return pair(request.param)


def features(theirs, B=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, theirs.dims.n_mels, 2 * theirs.dims.n_audio_ctx, generator=generator)


def text(theirs, L, B=2):
    generator = torch.Generator().manual_seed(2)
    return torch.randint(theirs.dims.n_vocab, (B, L), generator=generator)


def test_names_shapes_and_positions_are_theirs(both):
    theirs, ours = both
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes
    fresh = models.build("whisper", **vars(theirs.dims)).encoder.positional_embedding
    assert_close(fresh, theirs.encoder.positional_embedding, **TOLERANCE)


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "inference"])
def test_encoder(both, grad):
    theirs, ours = both
    mel = features(theirs)
    with torch.set_grad_enabled(grad):
        assert_close(ours.encoder(mel).audio, theirs.encoder(mel), **TOLERANCE)


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "inference"])
@pytest.mark.parametrize("L", [1, 2, 31, 48])
def test_logits(both, L, grad):
    theirs, ours = both
    mel, tokens = features(theirs), text(theirs, L)
    with torch.set_grad_enabled(grad):
        assert_close(ours(mel, tokens).logits, theirs(mel, tokens), **TOLERANCE)


@pytest.mark.parametrize("chunks", [(1,) * 12, (4, 1, 1, 1, 1, 1, 1, 1, 1), (12,)], ids=str)
def test_logits_with_a_cache(both, chunks):
    theirs, ours = both
    tokens = text(theirs, 12)
    with torch.no_grad():
        audio = theirs.encoder(features(theirs))
        uncached = theirs.decoder(tokens, audio)
        their_cache, hooks = theirs.install_kv_cache_hooks()
        our_cache = ours.decoder.new_cache()
        done = 0
        for part in tokens.split(chunks, dim=1):
            expected = theirs.decoder(part, audio, kv_cache=their_cache)
            given = ours.decoder(part, audio, cache=our_cache).logits
            assert_close(given, expected, **TOLERANCE)
            assert_close(given, uncached[:, done : done + part.shape[1]], **TOLERANCE)
            done += part.shape[1]
    for hook in hooks:
        hook.remove()


def test_gradients(both):
    theirs, ours = both
    mel, tokens = features(theirs), text(theirs, 9)
    theirs(mel, tokens).square().mean().backward()
    ours(mel, tokens).logits.square().mean().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        assert_close(parameter.grad, expected[name].grad, rtol=1e-3, atol=1e-4, msg=name)
    theirs.zero_grad()
    ours.zero_grad()


def test_cross_attention_weights_are_an_explicit_softmax(both):
    """Weights are recomputed from the query and key inputs that hooks catch, one head at a time."""
    _, ours = both
    mel, tokens = features(ours), text(ours, 7)
    caught = {}
    for i, block in enumerate(ours.decoder.blocks):
        block.cross_attn_ln.register_forward_hook(
            lambda _, __, output, i=i: caught.__setitem__(i, output)
        )
    with torch.no_grad():
        output = ours(mel, tokens, need_weights=True)
        audio = ours.encoder(mel).audio
    H = ours.dims.n_text_head
    for i, (block, weights) in enumerate(zip(ours.decoder.blocks, output.weights, strict=True)):
        assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)), rtol=0, atol=1e-5)
        attention = block.cross_attn
        K = ours.dims.n_text_state // H
        for h in range(H):
            rows = slice(h * K, (h + 1) * K)
            q = caught[i] @ attention.query.weight[rows].T + attention.query.bias[rows]
            k = audio @ attention.key.weight[rows].T
            scores = torch.einsum("btk,bsk->bts", q, k).double() / K**0.5
            exponentials = (scores - scores.amax(-1, keepdim=True)).exp()
            explicit = exponentials / exponentials.sum(-1, keepdim=True)
            assert_close(weights[:, h].double(), explicit, rtol=0, atol=1e-5)
