"""Splits: no text in two of them, the same for everybody, and about as large as asked for."""

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focused_attention import corpora
from focused_attention.corpora.manifest import (
    SPLITS,
    Utterance,
    assign_splits,
    check_pairs,
    hashed_share,
    normalise,
)
from focused_attention.errors import UserError
from focused_attention.paths import DATA


def utterance(key, text, translation=None, language="en", corpus="made-up"):
    return Utterance(
        corpus=corpus, language=language, key=key, path=None, text=text, translation=translation,
        speaker="", licence="",
    )  # fmt: skip


def splits_of_texts(utterances):
    splits = assign_splits(utterances, dev=0.2, test=0.3)
    found: dict[str, set[str]] = {}
    for u in utterances:
        for text in (u.text, u.translation or ""):
            found.setdefault(normalise(text), set()).add(splits[u.corpus, u.key])
    found.pop("", None)
    return found


utterances_strategy = st.lists(
    st.builds(
        utterance,
        key=st.text("abc", min_size=1, max_size=4),
        text=st.sampled_from(["Yes.", "yes", "no", "Maybe", "", "one", "[beep]", "two", "oui"]),
        translation=st.sampled_from([None, "yes", "No!", "three"]),
        language=st.sampled_from(["en", "fr"]),
        corpus=st.sampled_from(["x", "y"]),
    ),
    max_size=30,
)


@given(utterances_strategy)
def test_no_text_is_in_two_splits(utterances):
    assert all(len(splits) == 1 for splits in splits_of_texts(utterances).values())


@given(utterances_strategy)
def test_order_does_not_matter(utterances):
    forward = assign_splits(utterances, dev=0.2, test=0.3)
    assert assign_splits(utterances[::-1], dev=0.2, test=0.3) == forward


def test_a_key_is_in_one_split_in_every_language():
    pairs = [utterance(str(i), f"w{i}", language="en") for i in range(50)]
    pairs += [utterance(str(i), f"m{i}", language="fr") for i in range(50)]
    assert len(assign_splits(pairs, dev=0.1, test=0.1)) == 50


def test_texts_chain_keys_together():
    chain = [utterance(str(i), f"t{i}", f"t{i + 1}") for i in range(60)]
    assert len(set(assign_splits(chain, dev=0.3, test=0.3).values())) == 1


def test_shares_are_about_as_asked():
    splits = list(
        assign_splits(
            [utterance(f"k{i}", f"t{i}") for i in range(4000)], dev=0.1, test=0.2
        ).values()
    )
    assert [splits.count(s) / 4000 for s in SPLITS] == pytest.approx([0.7, 0.1, 0.2], abs=0.02)


def test_hash_is_the_same_everywhere():
    assert hashed_share("asterisk/vm-goodbye") == pytest.approx(0.3142395, abs=1e-7)  # by sha256sum


def test_normaliser_is_whispers():
    from whisper.normalizers import BasicTextNormalizer

    for text in ["Press 1, or hold on...", "at [@]", "(beep) Hallo", "О'clock — Ёлка", "d'un  été"]:
        assert normalise(text) == BasicTextNormalizer()(text).strip()


def test_audio_without_transcript(tmp_path):
    with pytest.raises(UserError, match=r"b\.g722: audio without transcript; give b a text in"):
        check_pairs({"a": tmp_path / "a.g722", "b": tmp_path / "b.g722"}, {"a"}, tmp_path, [])


def test_transcript_without_audio(tmp_path):
    with pytest.raises(UserError, match=r"texts\.txt: transcript without audio: .* of c; run"):
        check_pairs({}, {"c"}, tmp_path / "texts.txt", ["d*"])


def test_known_exceptions_pass(tmp_path):
    check_pairs({"silence/1": tmp_path}, {"later"}, tmp_path, ["silence/*", "later"])


def test_unknown_corpus_and_language():
    with pytest.raises(UserError, match=r"unknown corpus 'timit'; known are asterisk, fillets"):
        corpora.load("timit")
    with pytest.raises(
        UserError, match=r"fetch\.corpora\.fillets: unknown language 'en'; .* cs, nl"
    ):
        corpora.load("fillets", ["nl", "en"])


FEW = {"pocketsphinx": 10, "music": 5}  # recordings that only published checkpoints hear


@pytest.mark.parametrize("name", corpora.names())
def test_every_language_is_pinned(name):
    for language in corpora.load(name).LANGUAGES:
        pinned = corpora.checksums(name, language)
        assert len(pinned) >= FEW.get(name, 500)
        assert len({path.lower() for path in pinned}) == len(
            pinned
        )  # for file systems without case
        assert all(
            len(digest) == 64 and not path.startswith("/") for path, digest in pinned.items()
        )


def minutes(file):
    if file.suffix == ".g722":  # 64 kbit/s
        return file.stat().st_size / 8000 / 60
    with av.open(str(file)) as container:
        return container.duration / 1e6 / 60


COUNTS = {  # recordings, of them with text, minutes
    "asterisk/en": (568, 551, 25.5),
    "asterisk/es": (527, 481, 31.0),
    "asterisk/fr": (561, 510, 26.0),
    "asterisk/it": (599, 583, 23.8),
    "asterisk/ru": (576, 554, 24.8),
    "fillets/nl": (1529, 1526, 91.2),
    "fillets/cs": (1782, 1714, 100.9),
    "pocketsphinx/en": (10, 10, 0.57),
    "music/zxx": (5, 0, 18.4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_corpora(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there: `dvc repro data.dvc` with it in fetch.corpora")
    corpus, language = name.split("/")
    utterances = corpora.load(corpus).read(DATA / name, language)
    with_text = [u for u in utterances if normalise(u.text)]
    assert (len(utterances), len(with_text)) == COUNTS[name][:2]
    assert sum(minutes(u.path) for u in utterances) == pytest.approx(COUNTS[name][2], abs=0.1)
    assert all(len(splits) == 1 for splits in splits_of_texts(utterances).values())
