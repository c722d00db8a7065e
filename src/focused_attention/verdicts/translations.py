"""BLEU and chrF of a corpus, in every resample of its segments.

Both are made of counts that add up over segments, so a segment counts as often as it is drawn;
trials/_translated.py counts. Both definitions are SacreBLEU's (https://github.com/mjpost/sacrebleu)
with its defaults, on a scale of 0 to 100: BLEU of one to four words, chrF2 of one to six
characters. Shape alphabet: N segments, R resamples.
"""

import numpy as np

WORDS = 4  # of the longest n-gram of BLEU
CHARACTERS = 6  # of chrF
BETA = 2.0  # of chrF: how much more recall weighs than precision


def bleu(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """BLEU of every resample, (R,), of counts (N, 10) and weights (R, N) of about 1 each.

    Counts are n-grams found and written for one to four words, words written and of the reference.
    An order of which nothing is found counts half an n-gram, then a quarter (Chen and Cherry 2014).
    """
    sums = weights @ counts
    found, written = sums[:, :WORDS], sums[:, WORDS : 2 * WORDS]
    said, meant = sums[:, -2], sums[:, -1]
    none = found == 0
    halves = np.where(none, 0.5 ** np.cumsum(none, axis=1), found)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.log(halves / written).mean(axis=1)
        brevity = np.where(said < meant, 1 - meant / said, 0.0)
        scores = 100 * np.exp(brevity + mean)
    empty = none.all(axis=1) | (written == 0).any(axis=1)
    return np.where(empty, 0.0, scores)


def chrf(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """chrF2 of every resample, (R,), of counts (N, 18) and weights (R, N).

    Counts are, of one to six characters, n-grams written, of the reference, and found.
    """
    sums = (weights @ counts).reshape(len(weights), CHARACTERS, 3)
    written, meant, found = np.moveaxis(sums, -1, 0)  # (R, CHARACTERS) each
    there = (written > 0) & (meant > 0)
    orders = np.maximum(there.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(there, found / written, 0.0).sum(axis=1) / orders
        recall = np.where(there, found / meant, 0.0).sum(axis=1) / orders
        score = (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
    return 100 * np.where(precision + recall > 0, score, 0.0)
