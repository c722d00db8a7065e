"""Greedy and beam search against each other, one item at a time, and full enumeration."""

import itertools

import pytest
import torch

from focused_attention import models
from focused_attention.decoding.beam import beam
from focused_attention.decoding.greedy import greedy

EOT = 4
PREFIX = [5, 6]


def tiny(name="whisper", seed=0, **settings):
    torch.manual_seed(seed)
    model = models.build(
        name,
        **{
            "n_mels": 8,
            "n_audio_ctx": 40,
            "n_audio_state": 16,
            "n_audio_head": 2,
            "n_audio_layer": 1,
            "n_vocab": 7,
            "n_text_ctx": 16,
            "n_text_state": 16,
            "n_text_head": 2,
            "n_text_layer": 2,
        }
        | settings,
    )
    torch.nn.init.normal_(model.decoder.token_embedding.weight)  # far from uniform
    return model.eval()


def encode(model, frames=(61, 17, 40)):
    torch.manual_seed(1)
    with torch.no_grad():
        return model.encoder(torch.randn(len(frames), 8, max(frames)) * 3, torch.tensor(frames))


def mean_log_probabilities(model, audio, mask, sequences):
    """Of sequences of one length after the prefix, from one uncached forward pass."""
    tokens = torch.tensor(sequences)
    given = torch.cat([torch.tensor(PREFIX).expand(len(tokens), -1), tokens], dim=1)
    N = len(given)
    with torch.no_grad():
        logits = model.decoder(given, audio.expand(N, -1, -1), mask.expand(N, -1)).logits
    steps = logits.log_softmax(-1)[:, len(PREFIX) - 1 : -1]
    return steps.gather(2, tokens[..., None]).mean(dim=(1, 2)).tolist()


@pytest.mark.parametrize("name", ["whisper", "echo"])
@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_the_likeliest_token_of_an_uncached_decoder(name, seed):
    model = tiny(name, seed)
    encoded = encode(model)
    for i, hypothesis in enumerate(
        greedy(model.decoder, encoded.audio, encoded.mask, PREFIX, eot=EOT, max_tokens=9)
    ):
        tokens = []
        while len(tokens) < 9 and EOT not in tokens:
            context = torch.tensor([PREFIX + tokens])
            with torch.no_grad():
                logits = model.decoder(
                    context, encoded.audio[i : i + 1], encoded.mask[i : i + 1]
                ).logits
            tokens.append(logits[0, -1].argmax().item())
        (expected,) = mean_log_probabilities(
            model, encoded.audio[i : i + 1], encoded.mask[i : i + 1], [tokens]
        )
        assert hypothesis.tokens == tuple(t for t in tokens if t != EOT)
        assert hypothesis.score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("search", [greedy, beam])
@pytest.mark.parametrize("name", ["whisper", "echo"])
def test_a_batch_decodes_as_each_item_alone(search, name):
    model = tiny(name, seed=3)
    frames = (61, 17, 40, 5)
    encoded = encode(model, frames)
    together = search(model.decoder, encoded.audio, encoded.mask, PREFIX, eot=EOT, max_tokens=9)
    for i, n in enumerate(frames):
        S = model.encoder.positions(n)
        (alone,) = search(
            model.decoder, encoded.audio[i : i + 1, :S], None, PREFIX, eot=EOT, max_tokens=9
        )
        assert together[i].tokens == alone.tokens
        assert together[i].score == pytest.approx(alone.score, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_of_one_is_greedy(seed):
    model = tiny(seed=seed)
    encoded = encode(model)
    arguments = (model.decoder, encoded.audio, encoded.mask, PREFIX)
    one = beam(*arguments, eot=EOT, max_tokens=9, width=1)
    for a, b in zip(one, greedy(*arguments, eot=EOT, max_tokens=9), strict=True):
        assert a.tokens == b.tokens
        assert a.score == pytest.approx(b.score, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_wide_enough_finds_the_best_of_all_sequences(seed):
    """Every sequence of up to three tokens that ends in end-of-text or is cut off."""
    model = tiny(seed=seed)
    encoded = encode(model)
    V, longest = 7, 3
    words = [t for t in range(V) if t != EOT]
    sequences = [(*s, EOT) for n in range(longest) for s in itertools.product(words, repeat=n)]
    sequences += list(itertools.product(words, repeat=longest))
    found = beam(
        model.decoder,
        encoded.audio,
        encoded.mask,
        PREFIX,
        eot=EOT,
        max_tokens=longest,
        width=len(sequences),
    )
    for i, hypothesis in enumerate(found):
        audio, mask = encoded.audio[i : i + 1], encoded.mask[i : i + 1]
        scores = {}
        for n in range(1, longest + 1):
            of_length = [s for s in sequences if len(s) == n]
            scores |= zip(
                of_length, mean_log_probabilities(model, audio, mask, of_length), strict=True
            )
        best = max(scores, key=scores.get)
        assert hypothesis.tokens == tuple(t for t in best if t != EOT)
        assert hypothesis.score == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("search", [greedy, beam])
def test_suppressed_tokens_never_appear_and_decoding_repeats(search):
    model = tiny(seed=2)
    encoded = encode(model)
    arguments = (model.decoder, encoded.audio, encoded.mask, PREFIX)
    first = search(*arguments, eot=EOT, max_tokens=8, suppress=[EOT, 0, 1])
    assert first == search(*arguments, eot=EOT, max_tokens=8, suppress=[EOT, 0, 1])
    assert all(len(h.tokens) == 8 and not {EOT, 0, 1} & set(h.tokens) for h in first)


@pytest.mark.parametrize("search", [greedy, beam])
def test_stops_as_soon_as_all_hypotheses_have_ended(search):
    model = tiny()
    with torch.no_grad():  # every next token is end-of-text
        model.decoder.ln.weight.zero_()
        model.decoder.ln.bias.copy_(10 * model.decoder.token_embedding.weight[EOT])
    encoded = encode(model)
    steps = []
    model.decoder.register_forward_hook(lambda *_: steps.append(1))
    found = search(model.decoder, encoded.audio, encoded.mask, PREFIX, eot=EOT, max_tokens=15)
    assert [h.tokens for h in found] == [()] * 3
    assert len(steps) <= (1 if search is greedy else 15)


def test_prefixes_may_differ_between_items():
    model = tiny(seed=1)
    encoded = encode(model)
    prefixes = [[5, 6], [6, 5], [1, 2]]
    together = greedy(
        model.decoder, encoded.audio, encoded.mask, torch.tensor(prefixes), eot=EOT, max_tokens=6
    )
    for i, prefix in enumerate(prefixes):
        audio, mask = encoded.audio[i : i + 1], encoded.mask[i : i + 1]
        (alone,) = greedy(model.decoder, audio, mask, prefix, eot=EOT, max_tokens=6)
        assert together[i].tokens == alone.tokens
