"""Answers, entropies and tables of recognition with planted rates, to be judged."""

import numpy as np

from focused_attention.verdicts.findings import Answers, Cell, Options
from focused_attention.verdicts.readers import READERS

N = 256
SEEDS = 3
OPTIONS = Options(resamples=400, confidence=0.95)
TEMPERATURES = (0.5, 0.71, 1.0, 1.41, 4.0)
SHAPE = {0.5: 0.0, 0.71: 0.0, 1.0: 0.0, 1.41: -0.05, 4.0: -0.4}  # what a temperature adds


def line(place, rates, *, seed=0, seconds=5.0, seeds=SEEDS, n=N):
    """Answers at every temperature: an utterance is right below a rate, its own luck all along."""
    luck = np.random.default_rng([seed, place.hay]).random((1, n))
    luck = np.repeat(luck, seeds, axis=0)
    luck = (luck + np.random.default_rng([seed, 9]).uniform(0, 0.02, luck.shape)) % 1
    times = 1 if place.task == "recall" else 2
    found = {}
    for value, rate in rates.items():
        right = (luck < rate).astype(np.uint8)
        below = np.full_like(right, times)
        found[place._replace(temperature=value)] = Answers(times * right, below, seconds)
    return found


def rates(level=0.8, **changes):
    """Rates by temperature; a keyword t071 changes that of temperature 0.71."""
    values = {t: level + SHAPE[t] for t in TEMPERATURES}
    names = {f"t{t:.2f}".replace(".", ""): t for t in TEMPERATURES}
    return values | {names[name]: value for name, value in changes.items()}


def arm_cells(recall=None, spot=None, dev=None):
    """What an arm answers: the rates at the longest size in cross-attention."""
    cells = {}
    for task, needles, longest, wanted in (("recall", 4, 40, recall), ("spot", 3, 9, spot)):
        for hay in (0, longest):
            planted = (wanted if hay else None) or rates()
            cells |= line(Cell(task, needles, hay, "cross", 1.0), planted)
            for slot in ("encoder", "both"):  # the same at 1, and nothing better
                cells |= line(Cell(task, needles, hay, slot, 1.0), rates(planted[1.0]))
    longest = Cell("recall", 4, 40, "cross", 1.0)
    cells |= line(longest._replace(split="dev"), dev or rates(), seed=1)
    cells |= line(longest._replace(answers="another"), dict.fromkeys(TEMPERATURES, 0.1), seed=2)
    return cells


def entropy_rows(far, near=0.5, std=0.05):
    """One seed's file: eight heads of one layer in cross-attention, at both sizes."""
    return [
        {"slot": "cross", "layer": "0", "head": str(head), "metric": metric}
        | {"temperature": "1.0", "hay": str(hay), "seconds": "5.0"}
        | {"mean": str(mean), "std": str(std), "rows": "128"}
        for hay, level in ((0, near), (40, far))
        for metric, mean in (("normalised_entropy", level), ("largest", 1 - level))
        for head in range(8)
    ]


def dev_rows(last):
    steps = ((250, 0.1), (500, last / 2 + 0.1), (750, last))
    return [
        {"step": str(step), "task": task, "first_word": str(share)}
        for step, share in steps
        for task in ("recall", "spot")
    ]


def timed(published=(1.9, 3.0), corrected=(0.9, 1.1)):
    """Timings whose rounds lie between two ratios, at every length."""
    return [
        {"mechanism": name, "length": length, "rounds": 7}
        | {"ratio": sum(ends) / 2, "ratio_low": ends[0], "ratio_high": ends[1]}
        for length in (500, 6000)
        for name, ends in (("hybrid", corrected), ("hybrid_published", published))
    ]


ASKED = [
    {"pairs": "3", "hay": "40", "heard": heard, "place": place, "value": heard[int(place) - 1]}
    for heard, place in (("112", "1"), ("123", "3"), ("343", "2"), ("555", "1"))
]
PAIRS = [
    {"arm": arm, "baseline": baseline, "task": "digits", "decoding": "greedy"}
    | {"difference": "0.01", "low": "0.004", "high": "0.02"}
    for arm, baseline in (("echo-16", "echo"), ("whisper-8", "whisper"), ("echo", "whisper"))
]


def wer_rows(**changes):
    about = {"task": "digits", "decoding": "greedy", "seeds": "1", "utterances": "300"}
    return [
        {"arm": arm} | about | {"wer": str(wer), "wer_low": str(wer / 2), "wer_high": str(wer * 2)}
        for arm, wer in (dict.fromkeys(READERS, 0.005) | changes).items()
    ]
