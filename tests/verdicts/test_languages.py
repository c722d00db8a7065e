"""W6: losses, error rates and translations of languages, with truths that were put in."""

import jiwer
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sacrebleu.metrics import BLEU, CHRF

mpl.use("Agg")

from focused_attention import plots
from focused_attention.trials._translated import bleu_counts, chrf_counts
from focused_attention.verdicts import languages, natural
from focused_attention.verdicts.translations import bleu, chrf

COLUMNS = (
    "tokens", "losses", "words", "substitutions", "deletions", "insertions", "characters",
    "character_errors", "prompts", "bleu", "chrf",
)  # fmt: skip
WORDS = "press the pound key now or hold for an operator who will be there soon".split()  # noqa: SIM905
SHIFTS = {"en": -0.04, "es": -0.03, "fr": 0.0, "it": 0.02, "ru": -0.05}


def row(corpus, language, kind, temperature, recordings, **values):
    about = {"corpus": corpus, "language": language, "kind": kind}
    about |= {"temperature": str(temperature), "recordings": str(recordings)}
    joined = {name: " ".join(str(v) for v in of) for name, of in values.items()}
    return about | dict.fromkeys(COLUMNS, "") | joined


def counted(said, meant):
    """What the trial counts of translations, as it writes it down."""
    found = {"bleu": bleu_counts(said, meant), "chrf": chrf_counts(said, meant)}
    return {name: [",".join(str(n) for n in own) for own in of] for name, of in found.items()}


def sentences(rng, count):
    return [" ".join(rng.choice(WORDS, 12)) for _ in range(count)]


def spoil(rng, text, share):
    return " ".join(rng.choice(WORDS) if rng.random() < share else word for word in text.split())


def made_up(shifts=SHIFTS, exchanged=3.0, corpus="asterisk", n=24, few=8, seed=0):
    """Rows in which sharper attention changes each language's loss by so much."""
    rng = np.random.default_rng(seed)
    rows = []
    for language, shift in shifts.items():
        prompts = [",".join(f"p{i}" for i in rng.integers(40, size=5)) for _ in range(n)]
        meant = sentences(rng, few) if language != "en" else []
        of = corpus, language
        rows.append(row(*of, "recordings", 1.0, n, prompts=prompts))
        base = 1 + 0.3 * rng.standard_normal(n)
        for value, more in ((0.71, shift), (1.0, 0.0), (1.41, 0.3)):
            losses = base + more + 0.01 * rng.standard_normal(n) * (value != 1)
            rows.append(row(*of, "losses", value, n, losses=losses.round(4)))
        others = base + exchanged + 0.1 * rng.standard_normal(n)
        rows.append(row(*of, "exchanged", 1.0, n, losses=others))
        for value, wrong in ((0.71, 1), (1.0, 1), (1.41, 6)):
            counts = {"substitutions": [wrong] * few, "deletions": [0] * few}
            counts |= {"insertions": rng.integers(0, 3, few), "words": rng.integers(50, 70, few)}
            counts |= {"characters": [300] * few, "character_errors": [3 * wrong] * few}
            rows.append(row(*of, "transcribe", value, few, **counts))
        for value, share in ((0.71, 0.3), (1.0, 0.3), (1.41, 0.9)) if meant else ():
            said = [spoil(rng, text, share) for text in meant]
            rows.append(row(*of, "translate", value, few, **counted(said, meant)))
    return rows


def test_the_planted_change_is_the_primary():
    drawn, n = languages.primary(made_up() + made_up({"nl": 5.0}, corpus="fillets"), 500)
    assert n == 5 * 24
    assert len(drawn) == 501
    assert drawn[0] == pytest.approx(np.mean(list(SHIFTS.values())), abs=0.005)
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    assert low < drawn[0] < high < 0


def test_nothing_is_found_where_nothing_changes():
    drawn, _ = languages.primary(made_up(dict.fromkeys(SHIFTS, 0.0)), 500)
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    assert low < 0 < high
    assert max(-low, high) < 0.01


def test_languages_weigh_alike_however_many_recordings_they_have():
    rows = made_up({"en": -0.1}, n=8) + made_up({"fr": 0.1}, n=40, seed=1)
    drawn, n = languages.primary(rows, 100)
    assert (n, drawn[0]) == (48, pytest.approx(0.0, abs=0.01))


def test_what_lacks_is_named():
    rows = [r for r in made_up() if (r["language"], r["temperature"]) != ("it", "0.71")]
    with pytest.raises(ValueError, match=r"no losses of it at 0\.71 and 1"):
        languages.primary(rows, 10)
    with pytest.raises(ValueError, match="no rows of asterisk"):
        languages.primary(made_up({"nl": 0.0}, corpus="fillets"), 10)


@pytest.mark.parametrize(("cost", "holds"), [(3.0, True), (0.9, False)])
def test_exchanged_texts_must_cost_much(cost, holds):
    said = languages.check(made_up(exchanged=cost), 300)
    assert said["holds"] is holds
    assert said["cost"] == pytest.approx(cost, abs=0.1)
    assert said["guards"] == ["W6"]


def test_one_language_that_guesses_fails_the_check():
    rows = made_up() + made_up({"nl": 0.0}, corpus="fillets", exchanged=0.0)
    said = languages.check(rows, 300)
    assert (said["holds"], said["least"]) == (False, "nl")


def test_the_table_has_every_measure_of_every_language():
    rows = made_up() + made_up({"nl": 0.0}, corpus="fillets", seed=3)
    told = languages.table("base", rows, resamples=200, confidence=0.95)
    by = {(r["corpus"], r["language"], r["measure"], r["temperature"]): r for r in told}
    assert len(by) == len(told)
    assert len({tuple(r) for r in told}) == 1
    for (_, _, _, value), r in by.items():
        assert r["low"] <= r["estimate"] <= r["high"] or r["measure"] in ("bleu", "chrf")
        if value == 1:
            assert r["change"] == r["change_low"] == r["change_high"] == 0
    mean = by["asterisk", "mean", "loss", 0.71]
    drawn, n = languages.primary(rows, 200)
    assert (mean["recordings"], mean["change"]) == (n, pytest.approx(drawn[0]))
    assert by["asterisk", "mean", "bleu", 1.41]["recordings"] == 4 * 8
    assert ("asterisk", "en", "bleu", 1.0) not in by
    for language in ("nl", "ru"):
        of = ("fillets" if language == "nl" else "asterisk", language)
        assert by[*of, "bleu", 1.41]["change_high"] < 0
        assert by[*of, "wer", 1.41]["change_low"] > 0
        told = by[*of, "cer", 1.0]
        assert told["estimate"] == pytest.approx(1.0)


def test_error_rates_are_of_the_corpus():
    rng = np.random.default_rng(5)
    meant = sentences(rng, 6)
    said = [spoil(rng, text, 0.4) for text in meant]
    counts = [jiwer.process_words(m, s) for m, s in zip(meant, said, strict=True)]
    kinds = ("substitutions", "deletions", "insertions")
    values = {name: [getattr(c, name) for c in counts] for name in kinds}
    rows = [
        row("x", "fr", "recordings", 1.0, 6, prompts=[f"p{i}" for i in range(6)]),
        row("x", "fr", "losses", 1.0, 6, losses=[1.0] * 6),
        row("x", "fr", "transcribe", 1.0, 6, words=[12] * 6, characters=[9] * 6,
            character_errors=[1] * 6, **values),
    ]  # fmt: skip
    told = {r["measure"]: r for r in languages.table("m", rows, resamples=9, confidence=0.9)}
    assert told["wer"]["estimate"] == pytest.approx(100 * jiwer.wer(meant, said))
    parts = sum(told[name]["estimate"] for name in kinds)
    assert parts == pytest.approx(told["wer"]["estimate"])


TEXTS = {
    "good": lambda rng, text: spoil(rng, text, 0.2),
    "poor": lambda rng, text: spoil(rng, text, 0.9),
    "short": lambda rng, text: " ".join(text.split()[:5]),
    "long": lambda rng, text: f"{text} and, {text}!",
    "no pair of words": lambda rng, text: " ".join(sorted(text.split()))[::-1] + " press",
    "elsewhere": lambda rng, text: "Qzz, xyq?",
    "a letter": lambda rng, text: "a",
    "nothing": lambda rng, text: "",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_scores_are_sacrebleus(kind):
    rng = np.random.default_rng(7)
    meant = [f"{text}. Then, {text[:20]}..." for text in sentences(rng, 5)]
    said = [TEXTS[kind](rng, text) for text in meant]
    times = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 3, 0], [0, 0, 0, 0, 5]])
    ours = bleu(bleu_counts(said, meant), times), chrf(chrf_counts(said, meant), times)
    for i, drawn in enumerate(times):
        hypotheses, references = (
            [text for text, n in zip(texts, drawn, strict=True) for _ in range(n)]
            for texts in (said, meant)
        )
        for scores, metric in zip(ours, (BLEU(), CHRF()), strict=True):
            expected = metric.corpus_score(hypotheses, [references]).score
            assert scores[i] == pytest.approx(expected, abs=1e-6)


def test_scores_do_not_depend_on_the_scale_of_weights():
    rng = np.random.default_rng(8)
    meant = sentences(rng, 4)
    said = [spoil(rng, text, 0.2) for text in meant]
    weights = rng.random((3, 4))
    for count, score in ((bleu_counts, bleu), (chrf_counts, chrf)):
        counts = count(said, meant)
        np.testing.assert_allclose(score(counts, weights), score(counts, 7 * weights))


def test_the_figure_draws_every_language_with_its_interval():
    rows = made_up() + made_up({"nl": 0.0, "cs": 0.0}, corpus="fillets", seed=3)
    heard = pd.DataFrame(languages.table("base", rows, resamples=50, confidence=0.95))
    with mpl.rc_context():
        plots.theme()
        figure = plots.languages(heard)
        figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= plots.PAGE
    names = [[c.get_label() for c in axes.containers] for axes in figure.axes]
    assert [len(of) for of in names] == [8, 7, 6]  # the mean of losses alone; no English into it
    row = heard[(heard["language"] == "ru") & (heard["measure"] == "wer")].set_index("temperature")
    (bars,) = (c for c in figure.axes[1].containers if c.get_label() == "Russian")
    for (_, top), expected in zip(
        (segment for segment in bars.lines[2][0].get_segments()), row["high"], strict=True
    ):
        assert top[1] == pytest.approx(expected)
    mpl.pyplot.close("all")


def test_natural_speech_is_counted_by_speaker():
    counts = {"deletions": "0", "insertions": "0", "seconds": "2.0"}
    rows = [
        counts | {"speaker": "a", "words": "10", "substitutions": "1"},
        counts | {"speaker": "b", "words": "5", "substitutions": "0"},
        counts | {"speaker": "a", "words": "30", "substitutions": "1", "insertions": "2"},
    ]
    told = natural.table("base", rows)
    assert [(r["speaker"], r["recordings"], r["words"], r["errors"], r["wer"]) for r in told] == [
        ("a", 2, 40, 4, 10.0), ("b", 1, 5, 0, 0.0),
    ]  # fmt: skip
