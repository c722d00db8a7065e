"""Claim C0, which is no test: whether the models learn to read, and what the hybrid costs."""

from focused_attention.analysis.evidence import PLAIN, Evidence

READERS = {PLAIN: 8, "echo-16": 16, "whisper": 16, "whisper-8": 8}  # and their heads
MOST_WER = 0.05  # of a model that can learn


def readers(evidence: Evidence) -> dict:
    """C0: whether the models can learn to read digits, and what the hybrid costs.

    It is stated of the worst arm, whose interval is over utterances; no test, and in no family.
    """
    stated = {
        "claim": "The models can learn; Echo has 8 heads, Whisper 16; the hybrid changes the run "
        "time.",
        "test": "word error rate on strings of digits, greedily, of Echo and Whisper with 8 and "
        "16 heads; ratio of the hybrid's run time to plain attention's",
        "arms": list(READERS), "verdict": "undecided", "effect": None, "low": None, "high": None,
        "p": None, "p_holm": None, "margin": MOST_WER, "n": None, "seeds": None,
        "unit": "word error rate of the worst arm", "reason": None, "missing": None,
        "ratio_low": None, "ratio_high": None,
    }  # fmt: skip
    rows = {}
    for row in evidence.wer:
        if (row["task"], row["decoding"]) == ("digits", "greedy"):
            rows.setdefault(row["arm"], row)  # the first is over all languages
    known = {row["arm"]: int(row["heads"]) for row in evidence.arms}
    missing = [arm for arm, n in READERS.items() if arm not in rows or known.get(arm) != n]
    ratios = [row["ratio"] for row in evidence.benchmark if row["name"].startswith("hybrid, T = ")]
    if missing or not ratios:
        what = " and ".join(missing) or "the hybrid's run time"
        return stated | {"reason": f"This profile does not measure {what}."}
    worst = max((rows[arm] for arm in READERS), key=lambda row: float(row["wer"]))
    effect, low, high = (float(worst[name]) for name in ("wer", "wer_low", "wer_high"))
    n = int(worst["utterances"])
    stated |= {"effect": effect, "low": low, "high": high, "n": n, "seeds": int(worst["seeds"])}
    stated |= {"ratio_low": min(ratios), "ratio_high": max(ratios)}
    read = all(float(rows[arm]["wer_high"]) < MOST_WER for arm in READERS)
    unread = [arm for arm in READERS if float(rows[arm]["wer_low"]) >= MOST_WER]
    if unread:
        reason = f"Strings of digits are not read by {' and '.join(unread)}."
        return stated | {"verdict": "refuted", "reason": reason}
    if max(ratios) <= 1:
        reason = "The hybrid is no slower than plain attention at any length."
        return stated | {"verdict": "refuted", "reason": reason}
    if read and min(ratios) > 1:
        reason = "Every interval ends below the limit, and the hybrid is slower at every length."
        return stated | {"verdict": "supported", "reason": reason}
    if read:
        return stated | {"reason": "The hybrid is slower at some lengths only."}
    more = {"half_width": (high - low) / 2, "utterances": 4 * n, "seeds": None}
    reason = f"The interval of {worst['arm']} holds the limit."
    return stated | {"reason": reason, "missing": more}
