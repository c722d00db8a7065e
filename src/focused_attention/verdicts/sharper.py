"""Whether sharper mechanisms do better: the plan's two comparisons over mechanisms.

Of every mechanism that has normalised rows of weights, by how much its entropy over log n differs
from the unchanged arm's, and by how much its outcome does. Shape alphabet: k mechanisms, R
resamples plus one, in front, that is the data as they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from focused_attention.verdicts import changed
from focused_attention.verdicts.evidence import Evidence, Rows
from focused_attention.verdicts.statistics import difference, holm

ALPHA = 0.05
FEWEST = 8  # mechanisms of which a correlation is told
COLUMNS = (
    "question", "study", "outcome", "claimed", "mechanisms", "correlation", "low", "high", "p",
    "p_holm", "verdict", "arms",
)  # fmt: skip
Pairs = Mapping[str, tuple[float, float]]  # by arm, what entropy and outcome differ by


def table(evidence: Evidence) -> list[dict]:
    """M1 and M2, as far as enough mechanisms were compared: rows of COLUMNS."""
    asked = [
        ("M1", "reading", "word error rate", 1, read(evidence.varied)),
        ("M2", "finding", "forced choice", -1, found(evidence)),
    ]
    rows = []
    for question, study, outcome, claimed, pairs in asked:
        if len(pairs) < FEWEST:
            continue
        x, y = np.array([*pairs.values()]).T
        drawn = correlations(x, y, evidence.options.resamples)
        told = difference(drawn, drawn, evidence.options.confidence)
        about = {"question": question, "study": study, "outcome": outcome, "claimed": claimed}
        about |= {"mechanisms": len(pairs), "correlation": told.estimate}
        about |= {"low": told.low, "high": told.high, "p": told.p, "arms": " ".join(pairs)}
        rows.append(about)
    adjusted = holm({row["question"]: row["p"] for row in rows}) if rows else {}
    for row in rows:
        row["p_holm"] = adjusted[row["question"]]
        row["verdict"] = verdict(row)
    return rows


def verdict(row: Mapping) -> str:
    """As the plan has it: by the side on which the whole interval lies."""
    low, high = sorted(row["claimed"] * row[end] for end in ("low", "high"))
    if low > 0 and row["p_holm"] < ALPHA:
        return "supported"
    return "refuted" if high < 0 and row["p_holm"] < ALPHA else "undecided"


def read(varied: Rows) -> Pairs:
    """From the rows of tables/variants.csv: of the changed arms that have a sharpness."""
    control = [row for row in varied if row["difference"] == "" and row["entropy"] != ""]
    if not control:
        return {}
    own = float(control[0]["entropy"])
    return {
        row["arm"]: (float(row["entropy"]) - own, float(row["difference"]))
        for row in varied
        if row["p_holm"] != "" and row["entropy"] != ""
    }


def found(evidence: Evidence) -> Pairs:
    """Of the arms that go on with another mechanism in the encoder, at the most words."""
    rows = changed.table(evidence)
    told = {row["arm"]: row for row in rows if row["p"] != "" and "encoder" in row["slot"].split()}
    if not told:
        return {}
    own = encoder_entropy(evidence, rows[0]["arm"])  # the unchanged arm stands first
    pairs = {
        arm: (encoder_entropy(evidence, arm) - own, row["difference"]) for arm, row in told.items()
    }
    return {arm: pair for arm, pair in pairs.items() if np.isfinite(pair).all()}


def encoder_entropy(evidence: Evidence, arm: str) -> float:
    """Over log n, at the most words, the mean over heads and seeds; NaN if it was not measured."""
    at = evidence.longest
    wanted = {"slot": "encoder", "metric": "normalised_entropy", "filler": at.filler}
    wanted |= {"hay": str(at.hay), "temperature": "1.0"}
    heads = [
        float(row["mean"])
        for rows in evidence.entropies.get(arm, ())
        for row in rows
        if all(row[name] == value for name, value in wanted.items())
    ]
    return float(np.mean(heads)) if heads else np.nan


def correlations(x: Sequence[float], y: Sequence[float], resamples: int) -> np.ndarray:
    """Spearman's correlation in every resample of mechanisms, (R,); 0 where all are alike.

    >>> correlations([1.0, 2.0, 3.0], [10.0, 30.0, 20.0], resamples=0).round(3).tolist()
    [0.5]
    """
    from scipy.stats import rankdata  # on use: it takes a second to load

    k = len(x)
    drawn = np.random.default_rng(0).integers(k, size=(resamples, k))
    drawn = np.concatenate([np.arange(k)[None], drawn])
    ranks = [rankdata(np.asarray(side)[drawn], axis=1) for side in (x, y)]
    a, b = (of - of.mean(axis=1, keepdims=True) for of in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), spread, out=np.zeros(len(drawn)), where=spread > 0)
