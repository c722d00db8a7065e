"""What may be written next: against openai-whisper's filters, and by the rules themselves."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention.decoding.rules import WritingRules
from focused_attention.decoding.segments import complete, cut
from focused_attention.speech.whisper_tokens import WhisperTokenizer, rules

VOCABULARY = 51864


@pytest.fixture(scope="module")
def tokenizer(tiny_en):
    return WhisperTokenizer(tiny_en / "tokenizer.json")


@pytest.fixture(scope="module")
def said(tiny_en):
    return rules(tiny_en)


def histories(tokenizer):
    """Transcripts as they may stand, by the last tokens; `t` is a text, the numbers are times."""
    begin = tokenizer.timestamp_begin
    shapes = ["", "0", "0 t", "0 t t", "0 t 40", "0 t 40 40", "0 t 40 45 t", "7 t 7", "0 t 1500"]
    return [[500 if x == "t" else begin + int(x) for x in shape.split()] for shape in shapes]


def allowed(tokenizer, said, written, *, timestamps=True, logits=None):
    logits = torch.zeros(1, VOCABULARY) if logits is None else logits
    row = WritingRules(tokenizer, said, timestamps=timestamps).apply(logits, [written])[0]
    return {int(token) for token in row.isfinite().nonzero()}


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("loud", [0.0, 12.0], ids=["text is likelier", "times are likelier"])
def test_the_same_logits_are_left_as_openai_leaves(tokenizer, said, timestamps, loud):
    decoding = pytest.importorskip("whisper", reason="openai-whisper is not installed").decoding
    theirs = decoding.get_tokenizer(False)
    prefix = [*theirs.sot_sequence, *(() if timestamps else (theirs.no_timestamps,))]
    filters = [
        decoding.SuppressBlank(theirs, len(prefix)),
        decoding.SuppressTokens(said.suppressed),
        *([decoding.ApplyTimestampRules(theirs, len(prefix), 50)] if timestamps else []),
    ]
    torch.manual_seed(0)
    for written in histories(tokenizer):
        logits = 3 * torch.randn(2, VOCABULARY)
        logits[:, tokenizer.timestamp_begin :] += loud - 6
        expected = logits.clone()
        for one in filters:
            one.apply(expected, torch.tensor([prefix + written] * 2))
        applied = WritingRules(tokenizer, said, timestamps=timestamps)
        assert_close(applied.apply(logits, [written] * 2), expected, rtol=0, atol=0)


def test_the_first_token_is_a_time_of_the_first_second(tokenizer, said):
    begin = tokenizer.timestamp_begin
    assert allowed(tokenizer, said, []) == set(range(begin, begin + 51))


def test_text_comes_after_the_time_that_opens_a_segment(tokenizer, said):
    after = allowed(tokenizer, said, [tokenizer.timestamp_begin])
    assert max(after) < tokenizer.timestamp_begin
    assert tokenizer.eot in after


def test_after_a_segment_comes_a_time_that_is_no_earlier_or_the_end(tokenizer, said):
    begin, eot = tokenizer.timestamp_begin, tokenizer.eot
    logits = torch.zeros(1, VOCABULARY)
    logits[0, eot] = 100.0
    after = allowed(tokenizer, said, [begin, 500, begin + 40], logits=logits)
    assert {token for token in after if token >= begin} == set(range(begin + 40, begin + 1501))
    assert min(after) == eot


def test_a_segment_takes_time(tokenizer, said):
    begin = tokenizer.timestamp_begin
    logits = torch.zeros(1, VOCABULARY)
    logits[0, 500] = 100.0
    after = allowed(tokenizer, said, [begin, 500, begin + 40, begin + 40, 500], logits=logits)
    assert min(token for token in after if token >= begin) == begin + 41


def test_without_times_only_what_is_suppressed_is_forbidden(tokenizer, said):
    kept = allowed(tokenizer, said, [500], timestamps=False)
    assert kept == set(range(VOCABULARY)) - {*said.suppressed}
    first = allowed(tokenizer, said, [], timestamps=False)
    assert first == kept - {*said.first_suppressed}


def transcript(tokenizer, text):
    """Tokens of `<0.00>a <2.00>` and the like, words standing for themselves."""
    tokens = []
    for part in text.split():
        if part.startswith("<"):
            tokens.append(tokenizer.timestamp_begin + round(float(part[1:-1]) / 0.02))
        else:
            tokens += tokenizer.encode(f" {part}")
    return tokens


@pytest.mark.parametrize(
    ("text", "segments", "next_seek"),
    [
        ("<0.0> one <2.0>", [(10, 12)], 4000),
        ("<0.5> one <2.0> <2.4> two <4.0>", [(10.5, 12), (12.4, 14)], 4000),
        ("<0.5> one <2.0> <2.4> two <4.0> <4.0>", [(10.5, 12), (12.4, 14)], 1400),
        ("<0.5> one <2.0> <2.4> two", [(10.5, 12)], 1200),
        ("<0.0> one", [(10, 40)], 4000),
        ("one", [(10, 40)], 4000),
    ],
)
def test_a_transcript_is_cut_at_its_times(tokenizer, text, segments, next_seek):
    """The window starts at 10 seconds."""
    tokens = transcript(tokenizer, text)
    found, seek = cut(tokens, tokenizer, 1000, 3000)
    assert [(pytest.approx(s.start), pytest.approx(s.end)) for s in found] == segments
    assert seek == next_seek
    assert complete(tokens, tokenizer.timestamp_begin) == (next_seek == 4000 and ">" in text[-1])
    words = "".join(segment.text for segment in found).split()
    assert words == [w for w in text.split() if not w.startswith("<")][: len(words)]
