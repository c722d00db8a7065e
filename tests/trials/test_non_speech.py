"""Where nobody speaks: the clips, what is written about them, and heads that are masked."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import signal

from focused_attention import models
from focused_attention.decoding.openai import write
from focused_attention.decoding.rules import WritingRules
from focused_attention.errors import UserError
from focused_attention.inference import attentions
from focused_attention.tasks.joined import Prompt
from focused_attention.trials import Subject, _sounds, non_speech
from focused_attention.trials.non_speech import Cell, NonSpeech, Settings, masked, transcripts

SETTINGS = Settings(
    noise=[-40.0], tones=[], variants=2, temperatures={"cross": [1.0, 2.0], "encoder": [2.0]},
    plain=[1.0], together=2, length=2.0, recordings=2,
)  # fmt: skip
HEADS = [(0, 0), (0, 1), (1, 0), (1, 1)]


class Tokens:
    """Letters, four marks and three times."""

    multilingual, eot, sot, no_timestamps, no_speech, timestamp_begin = False, 0, 1, 2, 3, 24

    def prefix(self, *spoken):
        return [self.sot]

    def encode(self, text):
        return [4 + ord(c) % 20 for c in text]

    def decode(self, tokens):
        return "".join(chr(ord("a") + t - 4) for t in tokens if 4 <= t < 24)


@pytest.fixture(scope="module")
def listener():
    torch.manual_seed(0)
    whisper = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=8, n_audio_head=2, n_audio_layer=1,
        n_vocab=27, n_text_ctx=80, n_text_state=8, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2),
    ).eval()  # fmt: skip
    for parameter in whisper.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    whisper.decoder.token_embedding.weight.data[0] *= 3  # some transcripts end early, some never
    rules = SimpleNamespace(suppressed=(1, 2, 3), first_suppressed=(0,))
    writing = WritingRules(Tokens(), rules, timestamps=True)
    return SimpleNamespace(model=whisper, tokenizer=Tokens(), writing=writing)


@pytest.fixture
def trial(listener, monkeypatch):
    rng = np.random.default_rng(0)
    long = 0.1 * rng.standard_normal(_sounds.SAMPLES * 2 + 5, dtype=np.float32)
    music = {"long": long, "short": np.ones(9, np.float32)}
    monkeypatch.setattr(non_speech, "pieces", lambda: music)
    pool = {
        f"p{i}": Prompt(key=f"p{i}", text=f"number {i}", samples=np.ones(16000, np.float32))
        for i in range(3)
    }
    monkeypatch.setattr(non_speech, "speech", lambda params: pool)
    params = SimpleNamespace(listen=None)
    return NonSpeech(Subject(name="tiny", listener=listener, params=params), SETTINGS)


@torch.inference_mode()
def logits(model, tokens, audio, *, step_by_step):
    if not step_by_step:
        return model.decoder(tokens, audio).logits
    cache = model.decoder.new_cache()
    said = [model.decoder(tokens[:, i : i + 1], audio, cache=cache).logits for i in range(5)]
    return torch.cat(said, dim=1)


@pytest.mark.parametrize("step_by_step", [False, True])
@pytest.mark.parametrize("heads", [((0, 1),), ((1, 0),), ((0, 0), (1, 0), (1, 1))], ids=str)
def test_a_masked_head_is_one_whose_output_is_projected_by_zeros(listener, heads, step_by_step):
    model, options = listener.model, {"step_by_step": step_by_step}
    torch.manual_seed(1)
    tokens, audio = torch.randint(27, (2, 5)), torch.randn(2, 7, 8)
    before = logits(model, tokens, audio, **options)
    reference = copy.deepcopy(model)
    for layer, head in heads:
        weight = attentions(reference, "decoder")[layer].out.weight.data
        weight[:, 4 * head : 4 * head + 4] = 0.0
    with masked(model, heads) as changed:
        found = logits(changed, tokens, audio, **options)
    torch.testing.assert_close(found, logits(reference, tokens, audio, **options))
    assert not torch.allclose(found, before, atol=1e-4)
    assert torch.equal(logits(model, tokens, audio, **options), before)


def test_masking_nothing_is_the_untouched_model_and_an_error_leaves_no_mask(listener):
    tokens, audio = torch.arange(5)[None], torch.ones(1, 3, 8)
    before = logits(listener.model, tokens, audio, step_by_step=False)
    with masked(listener.model, ()) as same:
        assert torch.equal(logits(same, tokens, audio, step_by_step=False), before)
    with pytest.raises(IndexError), masked(listener.model, ((0, 0), (0, 2))):
        pass
    assert torch.equal(logits(listener.model, tokens, audio, step_by_step=False), before)


@pytest.mark.parametrize("times", [True, False])
def test_transcripts_are_what_each_clip_gets_alone(trial, listener, times):
    torch.manual_seed(2)
    audio = 3 * torch.randn(21, 30, 8)
    prefix, rules = trial.written_by[times]
    said = transcripts(listener.model, audio, prefix, rules, sot=1)
    alone = [write(listener.model.decoder, one[None], prefix, rules, sot=1)[0] for one in audio]
    assert [one.tokens for one in said] == [one.tokens for one in alone]
    assert [one.score for one in said] == pytest.approx([one.score for one in alone], abs=1e-4)
    lengths = [len(one.tokens) for one in said]
    assert min(lengths) < non_speech.EARLY < max(lengths)  # both ways were taken


def test_rows_of_every_kind_alike_whatever_was_written_down(trial):
    kinds = ["music", "silence", "white", "pink", "speech"]
    cells = list(trial.cells())
    assert len(cells) == 2 + 1 + 1 + 4 + 2
    found = {cell: trial.rows(cell) for cell in cells}
    for rows in found.values():
        assert [row["kind"] for row in rows] == kinds
        assert [row["n"] for row in rows] == [2, 1, 2, 2, 2]
        assert len({tuple(row) for row in rows}) == 1
        for row in rows[:-1]:
            sizes = {len(row[name].split()) for name in non_speech.OF_CLIPS}
            assert sizes == {row["n"]}
            assert sum(count for _, count in json.loads(row["texts"])) <= row["n"]
    heated = [found[cell][-1]["losses"] for cell in cells[:3]]
    assert len(set(heated)) == 3  # untouched, cross and encoder
    assert len({found[cell][-1]["losses"] for cell in cells[4:8]}) == 4  # every head
    again = NonSpeech(trial.subject, SETTINGS)
    assert again.rows(cells[-1]) == found[cells[-1]]
    assert found[cells[-1]][0]["heads"].count(".") == 2


def test_heads_are_chosen_by_one_half_alone_and_then_by_what_they_cost(trial, monkeypatch):
    words = {  # of clips of the halves 0, 1, 0, 1
        (0, 0): "1 1 1 0", (0, 1): "0 1 1 1", (1, 0): "1 0 0 0", (1, 1): "1 1 0 1",
    }  # fmt: skip
    losses = {(0, 0): 0.1, (0, 1): 0.5, (1, 0): 0.9, (1, 1): 0.2}

    def rows(cell):
        (head,) = cell.heads
        silent = {"words": words[head], "half": "0 1 0 1", "losses": ""}
        return [silent, {"words": "", "half": "", "losses": f"{losses[head]} {losses[head]}"}]

    monkeypatch.setattr(trial, "rows", rows)
    assert trial.best(0) == ((0, 1), (1, 1))
    assert trial.best(1) == ((0, 0), (1, 0))


def made(**settings):
    music = {"a": np.arange(_sounds.SAMPLES * 2 + 1.0), "b": np.zeros(_sounds.SAMPLES - 1)}
    return _sounds.clips(music, noise=[-40.0, -20.0], tones=[-20.0], variants=2, seed=1, **settings)


def test_windows_of_music_are_whole_and_share_nothing():
    music = [clip for clip in made() if clip.kind == "music"]
    assert [(clip.source, clip.samples[0]) for clip in music] == [("a", 0), ("a", _sounds.SAMPLES)]
    assert {len(clip.samples) for clip in made()} == {_sounds.SAMPLES}


def test_generated_clips_are_as_loud_and_as_coloured_as_they_say():
    clips = made()
    for clip, same in zip(clips, made(), strict=True):
        assert np.array_equal(clip.samples, same.samples)
    for kind, power in (("white", 0.0), ("pink", -1.0)):
        noises = [clip for clip in clips if clip.kind == kind]
        levels = [10 * np.log10(np.square(clip.samples).mean()) for clip in noises]
        assert levels == pytest.approx([-40, -40, -20, -20], abs=0.01)
        assert not np.array_equal(noises[0].samples, noises[1].samples)
        hertz, density = signal.welch(noises[-1].samples, 16000, nperseg=4096)
        heard = (hertz > 50) & (hertz < 7000)
        slope = np.polyfit(np.log(hertz[heard]), np.log(density[heard]), 1)[0]
        assert slope == pytest.approx(power, abs=0.1)
    (silence,) = (clip for clip in clips if clip.kind == "silence")
    assert not silence.samples.any()


def test_tones_have_their_frequencies_and_pauses():
    by_source = {clip.source: clip.samples for clip in made() if clip.kind in ("tone", "signal")}
    spectrum = np.abs(np.fft.rfft(by_source["500Hz"]))
    assert spectrum.argmax() / 30 == 500
    both = np.sort(np.abs(np.fft.rfft(by_source["dial"])).argsort()[-2:]) / 30
    assert both.tolist() == [350, 440]
    pieces = by_source["busy"].reshape(-1, 8000)  # half seconds
    assert np.square(pieces[::2]).mean() == pytest.approx(0.01, rel=0.01)
    assert not pieces[1::2].any()
    hertz = np.fft.rfftfreq(1600, 1 / 16000)
    for pressed in by_source["keys"].reshape(-1, 3200)[:, :1600]:
        peaks = hertz[np.abs(np.fft.rfft(pressed)).argsort()[-2:]]
        near = [min(abs(np.array(_sounds.ROWS + _sounds.COLUMNS) - peak)) for peak in peaks]
        assert max(near) <= 10


def test_halves_share_no_source_and_hold_alike_many():
    clips = made()
    half = _sounds.halves(clips)
    assert half.keys() == {clip.source for clip in clips}
    count = [sum(half[clip.source] == side for clip in clips) for side in (0, 1)]
    assert abs(count[0] - count[1]) <= 4


def test_music_that_was_not_fetched_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^data/music/zxx: no such folder; put `music: \[zxx\]`"):
        non_speech.pieces()


def test_a_loop_is_told_from_text():
    def loops(text):
        said = SimpleNamespace(tokens=(1,), no_speech=0.5, score=-1.0)
        return non_speech.described(said, text)["loops"]

    assert loops(" I'm going to do that." * 9) == 1
    assert loops(" Press the pound key, or hang up and dial another number.") == 0


def test_cells_are_told_apart():
    about = {repr(cell) for cell in (Cell(), Cell(times=False), Cell(chosen=0), Cell(chosen=1))}
    assert len(about) == 4
