"""What BLEU and chrF of a translation are counted from, so that its text need not be kept.

Counts add up over the segments of a corpus; verdicts/translations.py makes scores of them. Those
of BLEU are SacreBLEU's (https://github.com/mjpost/sacrebleu), of one to four words after its
tokenizer 13a; those of chrF are of one to six characters. Shape alphabet: N segments.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

CHARACTERS = 6  # of the longest n-gram of chrF


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """(N, 10): n-grams found and written for one to four words, words written and of reference."""
    from sacrebleu.metrics import BLEU  # on use: only this needs it

    metric, rows = BLEU(effective_order=True), []
    for said, meant in zip(hypotheses, references, strict=True):
        score = metric.sentence_score(said, [meant])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, dtype=int)


def chrf_counts(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """(N, 18): of one to six characters, n-grams written, of the reference, and found."""
    rows = []
    for said, meant in zip(hypotheses, references, strict=True):
        row: list[int] = []
        for n in range(1, CHARACTERS + 1):
            ours, theirs = grams(said, n), grams(meant, n)
            row += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
        rows.append(row)
    return np.array(rows, dtype=int)


def grams(text: str, n: int) -> Counter:
    """How often each run of n characters stands in a text without its spaces."""
    letters = "".join(text.split())
    return Counter(letters[i : i + n] for i in range(len(letters) - n + 1))
