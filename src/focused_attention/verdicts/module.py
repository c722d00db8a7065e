"""What the focused attention module does in a published Whisper's encoder, and W7's comparison.

Losses are paired by recording; what several seeds made of a recording is averaged first, and seeds
are not drawn. Shape alphabet: N recordings, R resamples plus one, in front, that is the data as
they are.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from focused_attention.verdicts.hearing import estimate
from focused_attention.verdicts.lengths import weights_of
from focused_attention.verdicts.statistics import interval

PLAIN, HYBRID = "tiny-en", "tiny-en-hybrid"
NEUTRAL = 1e-4  # nats: how far a token's loss may be from the untouched model's
WORSE = 0.02  # nats that plain attention may lose by being adapted, heard as it was trained
EXCHANGED = 1.0  # nats that another recording's text costs at least
GUARDS = ("W7",)
KINDS = ("substitutions", "deletions", "insertions")
KNOBS = {"spans": "span", "temperatures": "temperature", "local": "local"}

Key = tuple[str, str, str, float]  # state, arm, condition, seconds


class Heard:
    """The rows of the trial: losses and word errors by what was heard, resampled alike."""

    def __init__(self, rows: Sequence[Mapping[str, str]], resamples: int):
        """Raises ValueError for rows that do not say which prompts were heard."""
        self.resamples = resamples
        self.told = list(rows)
        self.rows: dict[Key, list[Mapping]] = {}
        self.prompts: dict[float, list[tuple[str, ...]]] = {}
        for row in rows:
            if row["split"] != "test":
                continue
            key = row["state"], row["arm"], row["condition"], float(row["length"])
            self.rows.setdefault(key, []).append(row)
            if row["prompts"]:
                held = [tuple(one.split(",")) for one in row["prompts"].split()]
                self.prompts[float(row["length"])] = held
        if lacking := {key[-1] for key in self.rows} - self.prompts.keys():
            raise ValueError(f"module: no prompts of {min(lacking):g} s; run the trial again")
        self._weights: dict[float, np.ndarray] = {}

    def weights(self, length: float) -> np.ndarray:
        """How much each recording of a length counts, (R, N)."""
        if length not in self._weights:
            seed = round(1000 * length)
            self._weights[length] = weights_of(self.prompts[length], self.resamples, seed)
        return self._weights[length]

    @cached_property
    def longest(self) -> float:
        return max(self.prompts)

    @cached_property
    def shortest(self) -> float:
        return min(self.prompts)

    def seeds(self, key: Key) -> list[str]:
        return sorted({row["seed"] for row in self.rows.get(key, ())}, key=int)

    def numbers(self, key: Key, name: str, seeds: Collection[str] = ()) -> np.ndarray:
        """A column of numbers of each recording, (N,): the mean over those seeds, or over all.

        Raises ValueError where it was not run.
        """
        chosen = [row for row in self.rows.get(key, ()) if not seeds or row["seed"] in seeds]
        found = [np.array(row[name].split(), dtype=float) for row in chosen if row[name]]
        if not found:
            raise ValueError(f"module: not run: {', '.join(map(str, key))}")
        return np.mean(found, axis=0)

    def losses(self, key: Key, seeds: Collection[str] = ()) -> np.ndarray:
        """Mean loss, (R,)."""
        return self.weights(key[-1]) @ self.numbers(key, "losses", seeds)

    def wer(self, key: Key, seeds: Collection[str] = ()) -> np.ndarray:
        """Word error rate in percent, (R,)."""
        weights = self.weights(key[-1])
        wrong = sum(self.numbers(key, kind, seeds) for kind in KINDS)
        return 100 * (weights @ wrong) / (weights @ self.numbers(key, "words", seeds))


def primary(rows: Sequence[Mapping[str, str]], resamples: int) -> tuple[np.ndarray, int]:
    """W7: loss at the longest, corrected hybrid less plain attention, both adapted: (R,), and N."""
    heard = Heard(rows, resamples)
    key = "padded", heard.longest
    drawn = heard.losses(("adapted", HYBRID, *key)) - heard.losses(("adapted", PLAIN, *key))
    return drawn, len(heard.prompts[heard.longest])


def table(
    model: str, rows: Sequence[Mapping[str, str]], *, resamples: int, confidence: float
) -> list[dict]:
    """A row for every arm, state, and condition: losses and word errors, against the untouched
    model and against plain attention in the same state, and what the module's knobs are set to.

    Where an arm has several seeds there is one of all, and one of each; an arm that cannot take the
    weights over has a row with the reason.
    """
    heard, found = Heard(rows, resamples), []
    for key, of_key in heard.rows.items():
        seeds = heard.seeds(key)
        for some in [seeds, *([seed] for seed in seeds if len(seeds) > 1)]:
            about = dict(zip(("state", "arm", "condition", "length"), key, strict=True))
            about |= {"seed": "all" if some == seeds else some[0], "seeds": len(some)}
            chosen = [row for row in of_key if row["seed"] in some]
            found.append(
                {"model": model} | about | {"recordings": len(heard.prompts[key[-1]])}
                | compared(heard, key, some, confidence) | settings(chosen) | {"note": ""}
            )  # fmt: skip
    refused = {row["arm"]: row["note"] for row in rows if row["note"]}
    blank = dict.fromkeys(found[0], "") if found else {}
    return found + [
        blank | {"model": model, "arm": arm, "note": note} for arm, note in refused.items()
    ]


def compared(heard: Heard, key: Key, seeds: Sequence[str], confidence: float) -> dict:
    """Loss and word errors with intervals, and what they differ by; empty where nothing was
    written. Plain attention is that of the same seeds, trained on the same batches."""
    state, _, condition, length = key
    own = "padded" if condition == "exchanged" else condition
    untouched = "untrained", PLAIN, own, length
    plain = ("untrained" if state == "untrained" else "adapted", PLAIN, own, length)
    others = {"": None, "_change": (untouched,), "_against_plain": (plain, seeds)}
    row = {}
    for name, read in (("loss", heard.losses), ("wer", heard.wer)):
        for label, other in others.items():
            try:
                drawn = read(key, seeds) - (read(*other) if other else 0.0)
            except ValueError:
                row |= {f"{name}{label}{end}": "" for end in ("", "_low", "_high")}
            else:
                row |= estimate(drawn, confidence, f"{name}{label}")
    return row


def settings(rows: Sequence[Mapping[str, str]]) -> dict:
    """Loss at both ends of the training, and the least, mean and most that each knob is set to."""
    found = {}
    for name in ("first_loss", "last_loss"):
        told = [float(row[name]) for row in rows if row[name]]
        found[name] = float(np.mean(told)) if told else ""
    for name, label in KNOBS.items():
        values = [float(value) for row in rows for value in row[name].split()]
        for end, read in (("least", min), ("mean", np.mean), ("most", max)):
            found[f"{label}_{end}"] = float(read(values)) if values else ""
    return found


def checks(rows: Sequence[Mapping[str, str]], resamples: int, confidence: float) -> dict[str, dict]:
    """The plan's four checks, each with what it found; all guard W7.

    Raises ValueError where something that they need was not run.
    """
    heard = Heard(rows, resamples)
    found = {
        "neutral": neutral(rows),
        "adapted": adapted(heard, confidence),
        "exchanged": exchanged(heard, confidence),
        "rate": rate(rows),
    }
    return {name: check | {"guards": list(GUARDS)} for name, check in found.items()}


def neutral(rows: Sequence[Mapping[str, str]]) -> dict:
    """Whether plain attention is the untouched model to the bit, and others nearly."""
    apart = {row["arm"]: float(row["apart"]) for row in rows if row["state"] == "neutral"}
    if PLAIN not in apart:
        raise ValueError("module: not run: neutral settings of plain attention")
    most = max(apart.values())
    return {"holds": apart[PLAIN] == 0 and most <= NEUTRAL, "plain": apart[PLAIN], "most": most}


def adapted(heard: Heard, confidence: float) -> dict:
    """Whether plain attention is not made worse by being adapted, heard as it was trained."""
    place = PLAIN, "unpadded", heard.shortest
    drawn = heard.losses(("adapted", *place)) - heard.losses(("untrained", *place))
    about = estimate(drawn, confidence, "change")
    return {"holds": about["change"] <= WORSE} | about


def exchanged(heard: Heard, confidence: float) -> dict:
    """Whether the text of another recording costs adapted plain attention much more."""
    keys = [("adapted", PLAIN, how, heard.longest) for how in ("exchanged", "padded")]
    drawn = heard.losses(keys[0]) - heard.losses(keys[1])
    low, high = interval(drawn[1:], confidence)
    return {"holds": low >= EXCHANGED, "cost": float(drawn[0]), "low": low, "high": high}


def rate(rows: Sequence[Mapping[str, str]]) -> dict:
    """Whether the learning rate used is that of plain attention's lowest loss on dev."""
    tried = {}
    for row in rows:
        if row["split"] == "dev" and row["arm"] == PLAIN and row["losses"]:
            mean = float(np.mean([float(loss) for loss in row["losses"].split()]))
            tried.setdefault(float(row["rate"]), mean)  # of the first seed, with which all were
    used = {float(row["rate"]) for row in rows if row["state"] == "adapted"}
    if not tried or len(used) != 1:
        raise ValueError("module: not run: learning rates on dev")
    best = min(tried, key=tried.get)
    about = {"used": used.pop(), "best": best, "tried": len(tried)}
    return {"holds": about["used"] == best} | about | {"losses": dict(sorted(tried.items()))}
