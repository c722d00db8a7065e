"""Evidence of the second edition, with effects planted in it.

Every arm binds in some share of the recordings, whose luck is the same at all temperatures and for
all arms; elsewhere it names another digit that it heard, always the same.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from focused_attention.params import load
from focused_attention.verdicts.claims import KEPT, LEARNED, SELF
from focused_attention.verdicts.evidence import LONG, PLAIN, SHARP, Evidence
from focused_attention.verdicts.replies import Place
from tests.verdicts import planted, planted_replies

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
N, SEEDS = 400, 10
ARMS = (PLAIN, LONG, *SELF.values(), LEARNED)
HEATS = (0.25, 0.35, 0.5, SHARP, 1.0, 1.41, 2.0, 2.83, 4.0)
RATES = dict.fromkeys(HEATS, 0.7) | {4.0: 0.2}  # of binding, by temperature
LONGEST, MOST = 56, 12  # words and prompts to be passed over


def answered(held, rate, seeds, salt):
    """Forced choices (seeds, n) of a model that binds at this rate; of every seed, if several."""
    rng = np.random.default_rng(salt)
    luck = rng.random((seeds, len(held.value)))
    heard = [others + lone for others, lone in zip(held.others, held.lone, strict=True)]
    place = rng.integers(len(heard[0]), size=luck.shape)
    others = np.array([[of[i] for of, i in zip(heard, row, strict=True)] for row in place])
    return np.where(luck < np.reshape(rate, (-1, 1)), held.value, others)


def heated(held, rates, seeds, salt=1, **place):
    """Answers by place: `rates` by temperature."""
    return {
        Place(hay=LONGEST, temperature=value, **place): planted_replies.replied(
            held, answered(held, rate, seeds, salt)
        )
        for value, rate in rates.items()
    }


def spotted(rates, seeds):
    """Hits and extra words: all three digits and nothing else at a rate, else one digit less."""
    luck = np.random.default_rng(3).random((seeds, N))
    cells = {}
    for value, rate in rates.items():
        hits = np.ones((seeds, N, 3), int)
        hits[..., 1] = luck < rate
        cells[MOST, value] = hits, np.zeros((seeds, N), int)
    return cells


def entropy_rows(near, far):
    """One seed's file: eight heads of one layer of cross-attention, at both lengths."""
    return [
        {"filler": "words", "slot": "cross", "layer": "0", "head": str(head)}
        | {"metric": "normalised_entropy", "temperature": "1.0", "hay": str(hay)}
        | {"seconds": "5.0", "mean": str(level), "std": "0.005", "rows": "128"}
        for hay, level in ((min(PARAMS.entropy.words), near), (LONGEST, far))
        for head in range(8)
    ]


def uniform(near, far, seeds, n=48):
    """Of every seed and recording, at both lengths: recordings differ by more than seeds do."""
    rng = np.random.default_rng(4)
    apart = rng.normal(scale=0.01, size=(seeds, 1))
    return {
        Place(hay=hay): level + apart + rng.normal(scale=0.03, size=n)
        for hay, level in ((min(PARAMS.entropy.words), near), (LONGEST, far))
    }


def evidence(
    *, seeds=SEEDS, arms=ARMS, rates=None, dev=None, pruned=(0.5, 0.5), exact=(0.5, 0.5), far=0.5,
    learned=None,
) -> Evidence:  # fmt: skip
    """`rates` are changes of `RATES` by arm, `dev` those of dev recordings alone.

    `pruned` and `exact` are shares at the sharp temperature and at 1; `learned` are the seeds that
    did, by arm: all, if nothing is said.
    """
    held, other = (planted_replies.recordings(N, seed) for seed in (0, 1))
    told = {arm: RATES | (rates or {}).get(arm, {}) for arm in arms}
    kept = dict(zip((SHARP, 1.0), pruned, strict=True))
    return Evidence(
        params=replace(PARAMS, collect=replace(PARAMS.collect, resamples=1000)),
        seeds=dict.fromkeys(arms, range(seeds)),
        learning=[
            {"arm": arm, "seed": seed, "learned": seed in (learned or {}).get(arm, range(seeds))}
            for arm in arms
            for seed in range(seeds)
        ],
        recalled={
            arm: heated(held, of, seeds)
            | heated(other, of | (dev or {}), seeds, salt=2, split="dev")
            for arm, of in told.items()
        },
        pruned={arm: heated(held, kept, seeds, top_k=KEPT) for arm in arms},
        spotted={arm: spotted(dict(zip((SHARP, 1.0), exact, strict=True)), seeds) for arm in arms},
        entropies={arm: [entropy_rows(0.5, far)] * seeds for arm in arms},
        uniformity={arm: uniform(0.5, far, seeds) for arm in arms},
        asked={("test", "words", LONGEST): held, ("dev", "words", LONGEST): other},
        wer=planted.wer_rows(),
        pairs=planted.PAIRS,
        arms=[{"arm": arm, "heads": str(n)} for arm, n in planted.READERS.items()],
        timings=planted.timed(),
    )
