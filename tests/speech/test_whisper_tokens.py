"""OpenAI's tokens against openai-whisper's own tokenizer."""

import json
import random

import pytest

from focused_attention.errors import UserError
from focused_attention.speech.whisper_tokens import WhisperTokenizer, rules

TEXTS = [
    "Hello, world! It's 9 o'clock\n\n  two", " Příliš žluťoučký kůň úpěl", "日本語のテキスト。",
    " ♪♪ um 🎉 é", " the time that they think there", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def ours(tiny_en):
    return WhisperTokenizer(tiny_en / "tokenizer.json")


@pytest.fixture(scope="module")
def theirs():
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    return whisper.tokenizer.get_tokenizer(False)


def test_special_tokens(ours, theirs):
    for name in ("eot", "sot", "sot_prev", "no_speech", "no_timestamps", "timestamp_begin"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.prefix(None) == ours.prefix("en") == list(theirs.sot_sequence)
    assert ours.languages == {}


def test_suppressed_tokens(tiny_en, theirs):
    said = rules(tiny_en)
    marks = (theirs.transcribe, theirs.translate, theirs.sot, theirs.sot_prev, theirs.sot_lm)
    assert {*said.suppressed} == {*theirs.non_speech_tokens, *marks, theirs.no_speech}
    assert [*said.first_suppressed] == [*theirs.encode(" "), theirs.eot]


def test_text_there_and_back(ours, theirs):
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


def test_any_tokens_are_cut_into_words_alike(ours, theirs):
    draw = random.Random(0)
    for _ in range(300):
        tokens = [draw.randrange(ours.eot) for _ in range(draw.randrange(1, 9))]
        words = theirs.split_tokens_on_spaces(tokens)
        characters = theirs.split_tokens_on_unicode(tokens)
        assert ours.decode(tokens) == theirs.decode(tokens)
        assert ours.words(tokens, "en") == list(zip(*words, strict=True))
        assert ours.words(tokens, "ja") == list(zip(*characters, strict=True))


def test_a_merge_that_the_file_lost_is_mended(tmp_path, tiny_en, theirs):
    """Hugging Face's multilingual file lacks the first merge; here the same is done to this one."""
    content = json.loads((tiny_en / "tokenizer.json").read_text("utf-8"))
    assert content["model"]["merges"].pop(0) in ("Ġ t", ["Ġ", "t"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    mended = WhisperTokenizer(tmp_path / "tokenizer.json")
    assert mended.encode(" the time") == theirs.encode(" the time")


def multilingual(folder, tiny_en):
    """A tokenizer with one more text token, as the multilingual ones have."""
    content = json.loads((tiny_en / "tokenizer.json").read_text("utf-8"))
    content["model"]["vocab"] = {
        piece: i for piece, i in content["model"]["vocab"].items() if i < 50256
    } | {"ĠĠĠĠĠ": 50256}
    content["added_tokens"] = [token | {"id": token["id"] + 1} for token in content["added_tokens"]]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return WhisperTokenizer(folder / "tokenizer.json")


def test_languages_and_tasks(tmp_path, tiny_en):
    tokenizer = multilingual(tmp_path, tiny_en)
    assert len(tokenizer.languages) == 99
    sot, german, translate = tokenizer.prefix("de", "translate")
    assert (sot, german) == (tokenizer.sot, tokenizer.sot + 3)
    assert translate == tokenizer.sot + 100
    with pytest.raises(UserError, match="unknown language 'xx'; choose one of en, zh, de"):
        tokenizer.prefix("xx")
    with pytest.raises(UserError, match="unknown task 'sing'"):
        tokenizer.prefix("de", "sing")


def test_english_alone_is_told_no_language(ours):
    with pytest.raises(UserError, match="English alone, it cannot hear 'de'; take a multilingual"):
        ours.prefix("de")
    with pytest.raises(UserError, match="cannot translate"):
        ours.prefix("en", "translate")


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"vocab": {}}}'])
def test_a_damaged_tokenizer(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer\.json: not a tokenizer"):
        WhisperTokenizer(tmp_path / "tokenizer.json")


def test_a_folder_that_says_no_rules(tmp_path):
    with pytest.raises(UserError, match="names the suppressed tokens"):
        rules(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        rules(tmp_path)
