"""Trials in other languages and on natural speech: what is asked, of what, and what is counted."""

import wave
from dataclasses import dataclass
from types import SimpleNamespace

import jiwer
import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU, CHRF

from focused_attention import models
from focused_attention.corpora.manifest import Utterance, normalise
from focused_attention.decoding.forced import heated_losses
from focused_attention.decoding.openai import Written, write
from focused_attention.decoding.rules import WritingRules
from focused_attention.errors import UserError
from focused_attention.inference import attentions
from focused_attention.inference.temperature import temperature
from focused_attention.speech.whisper_tokens import Rules
from focused_attention.trials import Subject, features, languages, natural, without_times
from focused_attention.verdicts import languages as verdict
from focused_attention.verdicts import translations

LETTERS = "abcdefghijklmnopqrstuvwxyz ."
LANGUAGES = {"en": 33, "fr": 34}
TASKS = {"transcribe": 35, "translate": 36}
SETTINGS = languages.Settings(
    corpora={"calls": ["en", "fr"]},
    length=3.0,
    temperatures=[0.5, 1.0, 2.0],
    writing=[1.0, 1.41],
    recordings={"losses": 3, "writing": 2},
)


@dataclass
class Tokens:
    """A tokenizer of letters, which are tokens 3 and on."""

    multilingual: bool = True
    eot: int = 31
    sot: int = 32
    no_timestamps: int = 37
    timestamp_begin: int = 38
    no_speech: int = 38

    def prefix(self, language, task="transcribe"):
        if language not in LANGUAGES or (language != "en" and not self.multilingual):
            raise UserError(f"cannot hear {language!r}")
        return [self.sot, LANGUAGES[language], TASKS[task]]

    def encode(self, text):
        return [3 + LETTERS.index(letter) for letter in text]

    def decode(self, tokens):
        return "".join(LETTERS[token - 3] for token in tokens)


def record(path, seconds):
    rng = np.random.default_rng(len(path.name))
    samples = (3000 * rng.standard_normal(round(16000 * seconds))).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())


def reader(texts):
    """A corpus of recordings of a second, by key: text and English text."""

    def read(folder, language):
        found = []
        for key, (text, english) in texts.items():
            path = folder / f"{key}.wav"
            if not path.exists():
                record(path, 1.0)
            found.append(
                Utterance(
                    corpus="calls", language=language, key=key, path=path, text=text,
                    translation=None if language == "en" else english, speaker="x", licence="x",
                )
            )  # fmt: skip
        return found

    return SimpleNamespace(read=read)


TEXTS = {letter: (f"{letter} is heard here", f"english of {letter}.") for letter in "pqrstuv"}


@pytest.fixture
def subject(tmp_path, monkeypatch):
    torch.manual_seed(0)
    whisper = models.build(
        "whisper", n_mels=80, n_audio_ctx=1500, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=40, n_text_ctx=200, n_text_state=16, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2),
    ).eval()  # fmt: skip
    for parameter in whisper.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for module in (languages, natural):
        monkeypatch.setattr(module, "DATA", tmp_path)
        monkeypatch.setattr(module.corpora, "load", lambda name, of=(): reader(TEXTS))
    tokens = Tokens()
    rules = Rules(suppressed=(*range(3), 39), first_suppressed=(31,), alignment_heads=None)
    writing = WritingRules(tokens, rules, timestamps=True)
    listener = SimpleNamespace(model=whisper, tokenizer=tokens, writing=writing)
    params = SimpleNamespace(listen=SimpleNamespace(words=[3, 60], longest=12.0))
    return Subject(name="small", listener=listener, params=params)


def trial(subject, **settings):
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__slots__}
    return languages.Languages(subject, languages.Settings(**(values | settings)))


def test_losses_are_those_of_forced_decoding(subject):
    asked = trial(subject, corpora={"calls": ["fr"]})
    rows = {}
    for cell in asked.cells():
        (row,) = asked.rows(cell)
        rows[cell.kind, cell.temperature] = row
    assert len({tuple(row) for row in rows.values()}) == 1  # the same columns
    own, model = asked.of("calls", "fr"), subject.listener.model
    for i, joined in enumerate(own.dealt):
        mel = features(own.pool, joined, 27.0)
        for kind, of in (("losses", joined), ("exchanged", own.dealt[(i + 1) % 3])):
            text = [*subject.listener.tokenizer.encode(f" {of.text}"), 31]
            heats = [0.5, 1.0, 2.0] if kind == "losses" else [1.0]
            prefix = [32, 34, 35, 37]
            forced = heated_losses(model, mel, prefix, text, slot="cross", temperatures=heats)
            for value, expected in forced:
                row = rows[kind, value]
                found = float(row["losses"].split()[i])
                assert found == pytest.approx(expected.mean().item(), abs=6e-5)
                assert int(row["tokens"].split()[i]) == len(text)
    held = rows["recordings", 1.0]
    assert held["prompts"] == " ".join(",".join(joined.prompts) for joined in own.dealt)


def test_a_recording_is_encoded_once(subject, monkeypatch):
    asked, calls = trial(subject, corpora={"calls": ["fr"]}), []
    encoder = subject.listener.model.encoder
    encoder.register_forward_hook(lambda *_: calls.append(1))
    for cell in asked.cells():
        asked.rows(cell)
    assert len(calls) == 3


def test_what_is_written_is_counted_under_the_temperature(subject, monkeypatch):
    asked, seen = trial(subject), []
    tokens, model = subject.listener.tokenizer, subject.listener.model
    layer = attentions(model, "cross")[0]
    untouched = layer.temperature

    def scripted(decoder, audio, prefix, rules, *, sot):
        seen.append((prefix, len(audio), (layer.temperature / untouched).mean().item()))
        assert not rules.timestamps
        assert sot == tokens.sot
        first, second = asked.of("calls", "fr" if prefix[1] == 34 else "en").dealt[:2]
        words = second.text.split()
        said = [first.text, " ".join(["so", *words[:-1], words[0]])]  # one put in, one put for one
        return [Written(tokens=tuple(tokens.encode(text)), score=0, no_speech=0) for text in said]

    monkeypatch.setattr(languages, "write", scripted)
    cells = [cell for cell in asked.cells() if cell.kind.startswith("trans")]
    rows = [asked.rows(cell)[0] for cell in cells]
    assert [(cell.language, cell.kind) for cell in cells] == [
        ("en", "transcribe"), ("en", "transcribe"), ("fr", "transcribe"), ("fr", "transcribe"),
        ("fr", "translate"), ("fr", "translate"),
    ]  # fmt: skip
    prefixes = [prefix for prefix, _, _ in seen]
    assert prefixes == [[32, 33, 35, 37]] * 2 + [[32, 34, 35, 37]] * 2 + [[32, 34, 36, 37]] * 2
    assert {count for _, count, _ in seen} == {2}
    assert [heat for _, _, heat in seen] == pytest.approx([1.0, 1.41] * 3)
    for row in rows[:4]:
        kinds = [row[name].split() for name in ("substitutions", "deletions", "insertions")]
        assert kinds == [["0", "1"], ["0", "0"], ["0", "1"]]
        assert int(row["words"].split()[0]) == len(
            asked.of("calls", row["language"]).dealt[0].text.split()
        )
        assert row["character_errors"].split()[0] == "0" != row["character_errors"].split()[1]
    assert torch.equal(layer.temperature, untouched)


def test_counts_of_translations_make_sacrebleus_scores(subject, monkeypatch):
    asked = trial(subject, corpora={"calls": ["fr"]}, writing=[1.41])
    meant = [
        " ".join(TEXTS[key][1] for key in joined.prompts)
        for joined in asked.of("calls", "fr").dealt[:2]
    ]
    said = [meant[0], f"so {meant[1][:25]} so"]
    (cell,) = (cell for cell in asked.cells() if cell.kind == "translate")

    def scripted(decoder, audio, prefix, rules, *, sot):
        tokens = (subject.listener.tokenizer.encode(f"  {text} ") for text in said)
        return [Written(tokens=tuple(one), score=0, no_speech=0) for one in tokens]

    monkeypatch.setattr(languages, "write", scripted)
    (row,) = asked.rows(cell)
    scores = {"bleu": (translations.bleu, BLEU()), "chrf": (translations.chrf, CHRF())}
    for name, (score, metric) in scores.items():
        found = score(verdict.counts(row, name), np.eye(2))
        assert found[0] == pytest.approx(100) != found[1]
        for ours, text, reference in zip(found, said, meant, strict=True):
            expected = metric.corpus_score([text], [[reference]]).score
            assert ours == pytest.approx(expected, abs=1e-6)
    assert row["words"] == row["losses"] == row["prompts"] == ""
    assert not any(text in str(value) for value in row.values() for text in said + meant)


def test_errors_of_what_is_really_written_are_jiwers(subject):
    asked = trial(subject, corpora={"calls": ["fr"]}, writing=[1.41])
    (row,) = (asked.rows(cell)[0] for cell in asked.cells() if cell.kind == "transcribe")
    own, tokens = asked.of("calls", "fr"), subject.listener.tokenizer
    rules, model = without_times(subject.listener), subject.listener.model
    with temperature(model, 1.41, "cross"):
        for i, joined in enumerate(own.dealt[:2]):
            audio = model.encoder(features(own.pool, joined, 27.0)).audio
            (said,) = write(model.decoder, audio, [32, 34, 35, 37], rules, sot=tokens.sot)
            text = normalise(tokens.decode(said.tokens))
            counted = jiwer.process_words(normalise(joined.text), text)
            for name in ("substitutions", "deletions", "insertions"):
                assert int(row[name].split()[i]) == getattr(counted, name)
            share = jiwer.cer(normalise(joined.text), text)
            wrong, all_of = (int(row[f"character{of}"].split()[i]) for of in ("_errors", "s"))
            assert wrong / all_of == pytest.approx(share)


def test_prompts_without_an_english_text_are_left_out(subject, monkeypatch):
    texts = dict(TEXTS, w=("w has nothing here", None), x=("x is a sound", "[beep]"), y=("y", "y"))
    monkeypatch.setattr(languages.corpora, "load", lambda name, of: reader(texts))
    listen = subject.params.listen
    pool, english = languages.spoken(listen, "calls", "fr")
    assert pool.keys() == TEXTS.keys()
    assert english["p"] == "english of p."
    assert languages.spoken(listen, "calls", "en")[0].keys() == TEXTS.keys() | {"w", "x"}


def test_what_cannot_be_heard_is_said_in_a_line(subject, monkeypatch):
    subject.listener.tokenizer.multilingual = False
    with pytest.raises(UserError, match="cannot hear 'fr'"):
        trial(subject)
    monkeypatch.setattr(languages.corpora, "load", lambda name, of: reader({}))
    asked = trial(subject, corpora={"calls": ["en"]})
    with pytest.raises(UserError, match=r"no recordings; name calls: \[en\] .*listen\.corpora"):
        asked.rows(next(iter(asked.cells())))


def test_natural_speech_is_compared_word_for_word(subject, monkeypatch):
    texts = {"a": ("ten of clubs", None), "b": ("mister fish", None), "c": ("", None)}
    monkeypatch.setattr(natural.corpora, "load", lambda name, of: reader(texts))
    asked = natural.Natural(subject, natural.Settings(corpus="calls"))
    assert list(asked.cells()) == ["a", "b"]
    heard = []

    def scripted(decoder, audio, prefix, rules, *, sot):
        heard.append(audio.shape[:2])
        text = " ten of club." if len(heard) == 1 else " mr. fish."
        return [Written(tokens=tuple(Tokens().encode(text)), score=0, no_speech=0)]

    monkeypatch.setattr(natural, "write", scripted)
    rows = [row for cell in asked.cells() for row in asked.rows(cell)]
    assert heard == [(1, 1500)] * 2
    assert [row["words"] for row in rows] == [3, 2]
    assert [row["substitutions"] for row in rows] == [1, 0]
    assert rows[0]["written"] == "ten of club."
    assert not any("clubs" in str(value) for value in rows[0].values())  # what was said
    assert rows[0]["seconds"] == 1.0


def test_natural_speech_longer_than_the_window(subject, monkeypatch, tmp_path):
    record(tmp_path / "calls" / "en" / "a.wav", 31.0)
    monkeypatch.setattr(natural.corpora, "load", lambda name, of: reader({"a": ("a", None)}))
    asked = natural.Natural(subject, natural.Settings(corpus="calls"))
    with pytest.raises(UserError, match=r"a\.wav: 31\.0 s, longer than the 30 s heard"):
        asked.rows("a")
