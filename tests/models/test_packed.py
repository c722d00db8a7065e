"""The packed decoder against the decoder that it was made of."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import models
from focused_attention.models.packed import PackedDecoder

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    sizes = {"n_state": 24, "n_head": 3, "n_layer": 2}
    both = {f"n_{side}_{k[2:]}": v for side in ("audio", "text") for k, v in sizes.items()}
    model = models.build("whisper", n_mels=8, n_audio_ctx=20, n_vocab=51, n_text_ctx=90, **both)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.decoder.eval()


@pytest.mark.parametrize("chunks", [(1,) * 5, (3, 1, 1), (2, 3), (70, 1, 1, 15)], ids=str)
@pytest.mark.parametrize("B", [1, 3])
@torch.inference_mode()
def test_logits(decoder, chunks, B):
    audio, tokens = torch.randn(B, 13, 24), torch.randint(51, (B, sum(chunks)))
    packed = PackedDecoder(decoder, heads=3)
    expected, cache, done = decoder(tokens, audio).logits, packed.new_cache(), 0
    for part in tokens.split(chunks, dim=1):
        given = packed(part, audio, cache=cache).logits
        done += part.shape[1]
        assert_close(given, expected[:, done - 1 : done], **TOLERANCE)


@torch.inference_mode()
def test_hypotheses_share_what_they_hear_and_change_places(decoder):
    audio, tokens = torch.randn(2, 13, 24), torch.randint(51, (2, 3))
    packed = PackedDecoder(decoder, heads=3)
    ours, theirs = packed.new_cache(), decoder.new_cache()
    packed(tokens, audio, cache=ours), decoder(tokens, audio, cache=theirs)
    rows = torch.tensor([0, 0, 0, 1, 1, 1])
    ours.reorder(rows), theirs.reorder(rows)
    assert len(ours.heard[0][0]) == 2  # one copy of each utterance's keys
    swapped, more = torch.tensor([2, 0, 0, 4, 5, 3]), torch.randint(51, (6, 1))
    for step in range(3):
        given = packed(more, audio[rows], cache=ours).logits
        expected = decoder(more, audio[rows], cache=theirs).logits
        assert_close(given, expected, **TOLERANCE, msg=f"step {step}")
        ours.reorder(swapped, cross=False), theirs.reorder(swapped, cross=False)


@torch.inference_mode()
def test_utterances_may_be_left_out(decoder):
    audio, tokens = torch.randn(3, 13, 24), torch.randint(51, (3, 2))
    packed, kept = PackedDecoder(decoder, heads=3), torch.tensor([2, 0])
    cache = packed.new_cache()
    packed(tokens, audio, cache=cache)
    cache.reorder(kept)
    given = packed(tokens[kept, :1], audio[kept], cache=cache).logits
    whole = torch.cat([tokens, tokens[:, :1]], dim=1)
    assert_close(given, decoder(whole, audio).logits[kept, -1:], **TOLERANCE)


def test_what_it_cannot_do_is_refused(decoder):
    packed, audio = PackedDecoder(decoder, heads=3), torch.randn(1, 13, 24)
    with pytest.raises(ValueError, match="mask: expected None"):
        packed(torch.zeros(1, 1, dtype=torch.long), audio, audio, cache=packed.new_cache())
    with pytest.raises(ValueError, match="at most n_text_ctx = 90, given 91"):
        packed(torch.zeros(1, 91, dtype=torch.long), audio, cache=packed.new_cache())
