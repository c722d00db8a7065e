"""The published tiny.en in our model writes what openai-whisper and CTranslate2 write with it.

The recordings are short, and both models are given a context of 8 seconds, which costs a sixth of
30; `make bench` compares more of them, padded to 30 seconds.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from focused_attention.decoding.openai import write
from focused_attention.decoding.published import listener
from focused_attention.decoding.rules import WritingRules
from focused_attention.decoding.windows import Options
from focused_attention.decoding.word_times import align
from focused_attention.models.packed import PackedDecoder
from focused_attention.speech.stream import Recording, samples
from focused_attention.speech.whisper_tokens import rules

POSITIONS = 400
FRAMES = 2 * POSITIONS
PROMPTS = Path(__file__).parents[2] / "data" / "asterisk" / "en"
KEYS = (
    "agent-alreadyon", "agent-newlocation", "auth-incorrect", "conf-onlyperson", "conf-invalidpin",
    "cannot-complete-as-dialed", "dir-instr", "pbx-invalid", "please-try-call-later",
    "ss-noservice", "vm-instructions", "vm-review",
)  # fmt: skip
TOLERANCE = {"rtol": 0, "atol": 1e-4}
TIE = 1e-3  # between two logits: other arithmetic may choose the other


@pytest.fixture(scope="module")
def waveforms():
    files = [PROMPTS / f"{key}.g722" for key in KEYS]
    if missing := [file for file in files if not file.exists()]:
        pytest.skip(f"{missing[0]}: no such recording; run `dvc repro data.dvc`")
    found = [np.concatenate(list(samples(file))) for file in files]
    assert all(2 * 16000 < len(one) < 160 * FRAMES for one in found)
    return found


@pytest.fixture(scope="module")
def ours(tiny_en):
    return listener(str(tiny_en))


@pytest.fixture(scope="module")
def packed(ours):
    return PackedDecoder(ours.model.decoder, ours.model.dims.n_text_head)


def peer(model, positions):
    """openai-whisper's model with the same weights, and a context of so many positions."""
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    names = whisper.model.ModelDimensions.__annotations__
    sizes = {name: getattr(model.dims, name) for name in names} | {"n_audio_ctx": positions}
    theirs = whisper.model.Whisper(whisper.model.ModelDimensions(**sizes)).eval()
    state = model.state_dict()
    state["encoder.positional_embedding"] = state["encoder.positional_embedding"][:positions]
    theirs.load_state_dict(state, strict=True)
    theirs.set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny.en"])
    return theirs


@pytest.fixture(scope="module")
def theirs(ours):
    return peer(ours.model, POSITIONS)


@pytest.fixture(scope="module")
def features(waveforms):
    """(N, 80, F)"""
    padded = [np.pad(one, (0, 160 * FRAMES - len(one))) for one in waveforms]
    return torch.stack([Recording.of(one).window(0, FRAMES) for one in padded])


@pytest.fixture(scope="module")
def audio(ours, features):
    """(N, S, D)"""
    with torch.inference_mode():
        return torch.cat([ours.model.encoder(one[None]).audio for one in features])


@pytest.fixture(scope="module")
def written(ours, packed, audio, tiny_en):
    """Our greedy tokens of every recording."""
    return decoded(ours, packed, audio, tiny_en)


def decoded(ours, decoder, audio, tiny_en, width=None):
    tokenizer = ours.tokenizer
    writing = WritingRules(tokenizer, rules(tiny_en), timestamps=False)
    prefix = [tokenizer.sot, tokenizer.no_timestamps]
    options = {"sot": tokenizer.sot, "width": width}
    return [write(decoder, one[None], prefix, writing, **options)[0] for one in audio]


def test_log_mel(waveforms, features):
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    for waveform, given in zip(waveforms, features, strict=True):
        expected = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform, 160 * FRAMES))
        assert_close(given, expected, **TOLERANCE)


def test_encoder_and_logits(ours, theirs, features, audio, written):
    tokenizer = ours.tokenizer
    for mel, own, one in zip(features, audio, written, strict=True):
        text = torch.tensor([[tokenizer.sot, tokenizer.no_timestamps, *one.tokens]])
        with torch.inference_mode():
            assert_close(own[None], theirs.encoder(mel[None]), **TOLERANCE)
            given = ours.model.decoder(text, own[None]).logits
            assert_close(given, theirs.decoder(text, own[None]), **TOLERANCE)


@pytest.mark.parametrize("width", [None, 5], ids=["greedy", "beam"])
def test_tokens_scores_and_silence(ours, packed, theirs, audio, written, tiny_en, width):
    decoding = pytest.importorskip("whisper", reason="openai-whisper is not installed").decoding
    options = decoding.DecodingOptions(
        language="en", without_timestamps=True, beam_size=width, fp16=False
    )
    given = written if width is None else decoded(ours, packed, audio, tiny_en, width)
    for one, own in zip(given, audio, strict=True):
        expected = decoding.decode(theirs, own, options)
        assert [*one.tokens] == expected.tokens
        assert one.score == pytest.approx(expected.avg_logprob, abs=1e-4)
        assert one.no_speech == pytest.approx(expected.no_speech_prob, abs=1e-4)


@pytest.mark.parametrize("width", [None, 3], ids=["greedy", "beam"])
def test_the_packed_decoder_writes_the_same(ours, packed, audio, tiny_en, width):
    given = decoded(ours, packed, audio[:3], tiny_en, width)
    expected = decoded(ours, ours.model.decoder, audio[:3], tiny_en, width)
    assert [one.tokens for one in given] == [one.tokens for one in expected]


def test_a_batch_is_written_as_its_utterances(ours, packed, audio, written, tiny_en):
    tokenizer = ours.tokenizer
    writing = WritingRules(tokenizer, rules(tiny_en), timestamps=False)
    prefix = [tokenizer.sot, tokenizer.no_timestamps]
    for width in (None, 2):
        together = write(packed, audio[:3], prefix, writing, sot=tokenizer.sot, width=width)
        alone = decoded(ours, packed, audio[:3], tiny_en, width)
        assert [one.tokens for one in together] == [one.tokens for one in alone]


def test_ctranslate2(ours, features, audio, written, tiny_en):
    """Equal up to a token where our two best logits lie within TIE; that must be rare."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    theirs = ctranslate2.models.Whisper(str(tiny_en), device="cpu", compute_type="float32")
    tokenizer, ties = ours.tokenizer, 0
    prefix = [tokenizer.sot, tokenizer.no_timestamps]
    for mel, own, one in zip(features, audio, written, strict=True):
        view = ctranslate2.StorageView.from_array(mel[None].numpy())
        tokens = theirs.generate(view, [prefix], beam_size=1)[0].sequences_ids[0]
        if tokens == [*one.tokens]:
            continue
        pairs = itertools.zip_longest(tokens, one.tokens)
        split = next(i for i, (other, token) in enumerate(pairs) if other != token)
        text = torch.tensor([[*prefix, *one.tokens[:split]]])
        best = ours.model.decoder(text, own[None]).logits[0, -1].topk(2).values
        assert best[0] - best[1] < TIE
        ties += 1
    assert ties <= 1


@pytest.mark.parametrize(("qk_scale", "n"), [(1.0, len(KEYS)), (2.0, 2)])
def test_times_of_words(ours, theirs, features, audio, written, qk_scale, n):
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    tokenizer = ours.tokenizer
    peers = whisper.tokenizer.get_tokenizer(False)
    for mel, own, one in zip(features[:n], audio, written, strict=False):
        text, frames = [*one.tokens], FRAMES - 100
        expected = whisper.timing.find_alignment(
            theirs, peers, text, mel, frames, qk_scale=qk_scale
        )
        given = align(
            ours.model, tokenizer, own[None], [tokenizer.sot], text, ours.heads,
            positions=frames // 2, qk_scale=qk_scale,
        )  # fmt: skip
        for word, timing in zip(given.words, expected, strict=True):
            assert (word.text, word.tokens) == (timing.word, timing.tokens)
            assert word.probability == pytest.approx(timing.probability, abs=1e-4)
            assert abs(word.start - timing.start) < 0.0201
            assert abs(word.end - timing.end) < 0.0201


def test_a_recording_of_two_windows(ours, waveforms):
    """Segments, words and where the second window starts, of `transcribe` as a whole."""
    pause = np.zeros(4 * 16000, np.float32)
    waveform = np.concatenate([piece for one in waveforms[:4] for piece in (one, pause)])
    waveform = np.concatenate([waveform[: 28 * 16000], waveforms[5], pause])
    theirs = peer(ours.model, 1500)
    expected = theirs.transcribe(waveform, temperature=0.0, word_timestamps=True, fp16=False)
    windows = list(ours.listen(Recording.of(waveform), Options()))
    given = [segment for window in windows for segment in window.segments]
    told = [segment for segment in expected["segments"] if segment["text"]]
    assert len(windows) >= 2
    assert [s.tokens for s in given] == [s["tokens"] for s in told]
    assert [s.text for s in given] == [s["text"] for s in told]
    for own, other in zip(given, told, strict=True):
        assert [w.text for w in own.words] == [w["word"] for w in other["words"]]
        for word, timing in zip(own.words, other["words"], strict=True):
            assert abs(word.start - timing["start"]) < 0.0201
            assert abs(word.end - timing["end"]) < 0.0201
