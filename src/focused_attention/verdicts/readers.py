"""Claim C0, which is no test, in three lines: the models learn to read; what is due to heads and
what to the model; and what the hybrid costs, the published one and the corrected one apart.
"""

from collections.abc import Mapping, Sequence

from focused_attention.verdicts.findings import Rows

PLAIN = "echo"  # the arm that most of the plan speaks of
READERS = {PLAIN: 8, "echo-16": 16, "whisper": 16, "whisper-8": 8}  # and their heads
MOST_WER = 0.05  # of a model that can learn
APART = (  # what differs between an arm and its baseline
    ("heads", "echo-16", PLAIN),
    ("heads", "whisper", "whisper-8"),
    ("model", PLAIN, "whisper-8"),
    ("model", "echo-16", "whisper"),
    ("both", PLAIN, "whisper"),
)
HYBRIDS = {"published": "hybrid_published", "corrected": "hybrid"}  # and their mechanisms


def readers(*, wer: Rows, pairs: Rows, arms: Rows, timings: Sequence[Mapping]) -> dict:
    """C0, stated of the worst arm, whose interval is over utterances; no test, and in no family.

    Rows are those of tables/wer.csv, pairs.csv and arms.csv, `timings` of benchmark-attention.json.
    The plan compares "the hybrid" with plain attention: the source's remark is about its own, so
    the published module decides, and the corrected one stands beside it.
    """
    stated = {
        "claim": "The models can learn; Echo has 8 heads, Whisper 16; the hybrid changes the run "
        "time.",
        "test": "word error rate on strings of digits, greedily, of Echo and Whisper with 8 and "
        "16 heads; ratio of the published hybrid's run time to plain attention's",
        "arms": list(READERS), "verdict": "undecided", "effect": None, "low": None, "high": None,
        "p": None, "p_holm": None, "margin": MOST_WER, "n": None, "seeds": None,
        "unit": "word error rate of the worst arm", "reason": None, "missing": None,
    }  # fmt: skip
    rows = {row["arm"]: row for row in reversed(digits(wer))}
    known = {row["arm"]: int(row["heads"]) for row in arms}
    missing = [arm for arm, n in READERS.items() if arm not in rows or known.get(arm) != n]
    times = {name: run_times(timings, mechanism) for name, mechanism in HYBRIDS.items()}
    stated["lines"] = {"learn": None, "apart": apart(pairs), "run_time": times}
    if missing or not times["published"]:
        what = " and ".join(missing) or "the published hybrid's run time"
        return stated | {"reason": f"This profile does not measure {what}."}
    worst = max((rows[arm] for arm in READERS), key=lambda row: float(row["wer"]))
    found = {name: float(worst[f"wer{end}"]) for name, end in ENDS.items()}
    found |= {"n": int(worst["utterances"]), "seeds": int(worst["seeds"])}
    read = reading(rows)
    stated["lines"]["learn"] = found | {"arm": worst["arm"], "verdict": read}
    words = [row["word"] for row in times["published"]]
    costs = "supported" if set(words) == {"slower"} else "undecided"
    costs = "refuted" if not {"slower", "open"} & set(words) else costs
    verdicts = {"learning": read, "run time": costs}
    verdict = next((v for v in ("refuted", "undecided") if v in verdicts.values()), "supported")
    if read == "undecided":
        width, more = (found["high"] - found["low"]) / 2, 4 * found["n"]
        stated["missing"] = {"half_width": width, "utterances": more, "seeds": None}
    reason = f"{REASONS['learning'][read]} {REASONS['run time'][costs]}"
    return stated | found | {"verdict": verdict, "reason": reason}


ENDS = {"effect": "", "low": "_low", "high": "_high"}
REASONS = {
    "learning": {
        "supported": "Every arm's interval ends below the limit.",
        "undecided": "An interval holds the limit.",
        "refuted": "An arm does not read strings of digits.",
    },
    "run time": {
        "supported": "The published hybrid is slower at every length.",
        "undecided": "That the published hybrid is slower is not shown at every length.",
        "refuted": "The published hybrid is slower at no length.",
    },
}


def digits(rows) -> list[Mapping[str, str]]:
    """Rows of strings of digits, read greedily; of several languages, that over all comes first."""
    return [row for row in rows if (row["task"], row["decoding"]) == ("digits", "greedy")]


def reading(rows: Mapping[str, Mapping[str, str]]) -> str:
    """Whether all arms read: supported, refuted if one does not, else undecided."""
    if any(float(rows[arm]["wer_low"]) >= MOST_WER for arm in READERS):
        return "refuted"
    all_read = all(float(rows[arm]["wer_high"]) < MOST_WER for arm in READERS)
    return "supported" if all_read else "undecided"


def apart(pairs: Rows) -> list[dict]:
    """Differences of word error rate where heads alone differ, the model alone, or both."""
    paired = {(row["arm"], row["baseline"]): row for row in reversed(digits(pairs))}
    found = []
    for differs, arm, baseline in APART:
        sign, row = 1, paired.get((arm, baseline))
        if row is None:  # the table may have it the other way round
            sign, row = -1, paired.get((baseline, arm))
        if row is not None:
            ends = sorted(sign * float(row[end]) for end in ("low", "high"))
            found.append(
                {"differs": differs, "arm": arm, "baseline": baseline}
                | {"difference": sign * float(row["difference"]), "low": ends[0], "high": ends[1]}
            )
    return found


def run_times(timings: Sequence[Mapping], mechanism: str) -> list[dict]:
    """The ratio to plain attention at every length, and the word that its interval allows."""
    return [
        {"mechanism": mechanism, "length": row["length"], "rounds": row["rounds"]}
        | {"ratio": row["ratio"], "low": row["ratio_low"], "high": row["ratio_high"]}
        | {"word": word(row["ratio_low"], row["ratio_high"])}
        for row in timings
        if row["mechanism"] == mechanism
    ]


def word(low: float, high: float) -> str:
    """Slower, faster, or open where the interval of a ratio holds 1."""
    return "slower" if low > 1 else "faster" if high < 1 else "open"
