"""The tokenizers: round trips, words apart, the same bytes on every run."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.errors import UserError
from focused_attention.speech.tokens import KINDS, MARK, Tokenizer, _learn_merges

TEXTS = ["please enter your password", "please press one", "enter the password", "one two three"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
WORD = st.text(alphabet=sorted(set("".join(WORDS))), min_size=1, max_size=8)


def train(kind, size=60):
    return Tokenizer.train(TEXTS, kind=kind, size=size, languages=["nl", "en"])


TOKENIZERS = {kind: train(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(words=st.lists(st.sampled_from(WORDS)))
def test_round_trip(kind, words):
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(" ".join(words))) == " ".join(words)


@pytest.mark.parametrize("kind", ["bpe", "chars"])
@given(words=st.lists(WORD))
def test_spells_anything_of_the_training_alphabet(kind, words):
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.encode(" ".join(words))
    assert tokenizer.unk not in tokens
    assert tokenizer.decode(tokens) == " ".join(words)


@pytest.mark.parametrize("kind", KINDS)
@given(first=WORD, second=WORD)
def test_words_do_not_depend_on_their_neighbours(kind, first, second):
    encode = TOKENIZERS[kind].encode
    assert encode(f"{first} {second}") == encode(first) + encode(second)


@given(words=st.lists(WORD, min_size=1))
def test_bpe_is_that_of_the_tokenizers_package(words):
    from tokenizers import Tokenizer as Peer
    from tokenizers import models, pre_tokenizers

    ours = TOKENIZERS["bpe"]
    vocabulary = {piece: i for i, piece in enumerate(ours.pieces)}
    peer = Peer(models.BPE(vocabulary, ours.merges))
    peer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert ours.encode(" ".join(words)) == peer.encode(" ".join(MARK + w for w in words)).ids


@pytest.mark.parametrize("kind", KINDS)
def test_the_unknown_is_explicit(kind):
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.encode("ж").count(tokenizer.unk) == 1
    assert "<unk>" in tokenizer.decode(tokenizer.encode("one ж two"))


def test_bpe_learns_words_up_to_the_size():
    tokenizer = train("bpe", size=60)
    assert len(tokenizer.pieces) <= 60
    assert len(tokenizer.encode("please")) < len(TOKENIZERS["chars"].encode("please")) == 7
    assert len(train("bpe", size=1000).encode("password")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_specials_are_whispers_and_distinct(kind):
    tokenizer = TOKENIZERS[kind]
    named = [tokenizer.eot, tokenizer.sot, tokenizer.transcribe, tokenizer.translate]
    named += [tokenizer.recall, tokenizer.spot, tokenizer.language("en"), tokenizer.language("nl")]
    assert sorted(named) == list(range(len(tokenizer.pieces), tokenizer.size))
    assert tokenizer.prefix("nl", "translate") == [
        tokenizer.sot, tokenizer.language("nl"), tokenizer.translate,
    ]  # fmt: skip
    tokens = [*tokenizer.prefix("en", "transcribe"), *tokenizer.encode("one two"), tokenizer.eot]
    assert tokenizer.decode(tokens) == "one two"


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same(kind, tmp_path):
    TOKENIZERS[kind].save(tmp_path / "a.json")
    loaded = Tokenizer.load(tmp_path / "a.json")
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert loaded.encode("please two") == TOKENIZERS[kind].encode("please two")
    assert loaded.size == TOKENIZERS[kind].size


def test_the_same_bytes_whatever_the_hash_seed():
    program = (
        "from focused_attention.speech.tokens import Tokenizer\n"
        f"t = Tokenizer.train({TEXTS!r} * 3, kind='bpe', size=50, languages=['en', 'nl'])\n"
        "import sys; sys.stdout.write(repr((t.pieces, t.merges, t.specials)))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(runs) == 1


def test_the_order_of_texts_does_not_matter():
    words = [MARK + word for word in WORDS] * 2
    alphabet = sorted(set("".join(words)))
    assert _learn_merges(words, alphabet, 60) == _learn_merges(words[::-1], alphabet, 60)


def test_loading_and_decoding_need_no_package(tmp_path):
    TOKENIZERS["bpe"].save(tmp_path / "t.json")
    program = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from pathlib import Path\n"
        "from focused_attention.speech.tokens import Tokenizer\n"
        f"t = Tokenizer.load(Path({str(tmp_path / 't.json')!r}))\n"
        "assert t.decode(t.encode('please enter')) == 'please enter'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_kind_language_and_task():
    with pytest.raises(UserError, match=r"prepare\.tokenizer: unknown tokenizer 'sentencepiece'"):
        train("sentencepiece")
    with pytest.raises(UserError, match="no language 'fr', only en, nl; add it"):
        TOKENIZERS["bpe"].language("fr")
    with pytest.raises(UserError, match="unknown task 'sing'"):
        TOKENIZERS["bpe"].prefix("en", "sing")
