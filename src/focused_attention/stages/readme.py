"""Write the results tables of README.md, between its two marker lines, from the results.

    python -m focused_attention.stages.readme

They are what Whisper was asked, the error rates of the profile, the verdicts on the claims, which
are those of the profile that params.yaml names as `findings`, and what every mechanism makes of the
error rate. The rest of README.md is left as it is. A smoke run's numbers are no results and are not
shown.
"""

import argparse
import inspect
import logging

from focused_attention import attention
from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import HEARD, MACHINES, README, RESULTS
from focused_attention.results import read_csv, read_json, shown, write_text

BEGIN = "<!-- results: written by `python -m focused_attention.stages.readme` -->"
END = "<!-- end of results -->"
DECODING = "beam"
LEVEL = 0.05  # of adjusted p-values
VERDICTS = ("supported", "equivalent", "refuted", "undecided")
TASKS = {"digits": "digit strings", "words": "word strings", "transcribe": "whole prompts"}


def results(profile: str, findings: str) -> str:
    """All that stands between the markers."""
    rates, judged = error_rates(profile), read_json(shown(findings) / "verdicts.json")
    listened = HEARD / "heard.json"
    asked = [whisper(HEARD.name, read_json(listened))] if listened.exists() else []
    of_claims = verdicts(findings, judged), run_times(judged)
    parts = (*asked, rates, *of_claims, mechanisms(profile), machines(profile))
    return "\n\n".join(filter(None, parts))


def whisper(profile: str, judged: dict) -> str:
    """What Whisper was asked, and the line that says what is shown."""
    lines = [
        _row(["", "asked of OpenAI's Whisper", "what was compared", "effect", "n", "verdict"]),
        _row(["---"] * 3 + ["---:"] * 2 + ["---"]),
    ]
    for name, claim in judged["claims"].items():
        said = [name, claim["question"], claim["test"]]
        if claim["verdict"] == "not run":
            lines.append(_row([*said, "–", "–", "not run"]))
            continue
        places = 1 if claim["unit"] in ("ms", "points") else 3
        effect = f"{_signed(claim, places)} {claim['unit']}"
        lines.append(_row([*said, effect, str(claim["n"]), f"**{claim['verdict']}**"]))
    return "\n".join(
        [
            *lines,
            "",
            "tiny.en as released, cross-attention (W6: base; W7: tiny.en's encoder, adapted); "
            "losses are per token of the known text, slopes octaves of temperature an octave of "
            "keys. The source's side is below zero (W2: above; W3: none); brackets are "
            f"{100 * judged['confidence']:g} % intervals over recordings and the prompts they "
            "share, of one speaker (W6: of four), for W4 over sources of sound. Profile "
            f"`{profile}`.",
        ]
    )


def error_rates(profile: str) -> str:
    """The results of a profile as a Markdown table and the line that says where they are from."""
    folder = RESULTS / profile
    arms = read_csv(folder / "tables" / "arms.csv")
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in read_csv(folder / "tables" / "wer.csv"):
        if row["decoding"] == DECODING:  # the first row is over all languages
            cells.setdefault((row["arm"], row["task"]), row)
    tasks = list(dict.fromkeys(task for _, task in cells))
    head = ["arm", "heads", "parameters", *(TASKS.get(task, task) for task in tasks)]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for arm in arms:
        name = arm["arm"]
        rates = [_rate(cells.get((name, task))) for task in tasks]
        lines.append(_row([f"`{name}`", arm["heads"], f"{int(arm['parameters']):,}", *rates]))
    size = [_size(cells[arms[0]["arm"], task]) for task in tasks]
    lines.append(_row(["*utterances, words*", "", "", *size]))
    hardware = read_json(folder / "summary.json")["hardware"]
    seeds = cells[arms[0]["arm"], tasks[0]]["seeds"]
    return "\n".join(
        [
            *lines,
            "",
            "Test word error rate in percent (beam search) with its bootstrap interval over "
            f"utterances. Profile `{profile}`, seeds per arm: {seeds}, "
            f"computed on: {hardware}.",
        ]
    )


def mechanisms(profile: str) -> str:
    """What every varied mechanism does and makes of the error rate: empty if none was varied."""
    path = RESULTS / profile / "tables" / "variants.csv"
    table = read_csv(path) if path.exists() else []
    rows = sorted((r for r in table if r["mechanism"]), key=lambda r: float(r["difference"]))
    if not rows:
        return ""
    (control,) = (row for row in table if not row["difference"])
    lines = [_row(["arm", "family", "what it does", "word errors", "entropy"])]
    lines.append(_row(["---"] * 3 + ["---:"] * 2))
    for row in rows:
        said = " ".join(map(summary, row["mechanism"].split())).replace("|", "\\|")
        ends = {key: 100 * float(row[key]) for key in ("difference", "low", "high")}
        change = _signed(ends, 1, "difference") + ("\\*" if _found(row) else "")
        sharp = f"{float(row['entropy']):.2f}" if row["entropy"] else "–"
        lines.append(_row([f"`{row['arm']}`", row["family"], said, change, sharp]))
    return "\n".join(
        [
            *lines,
            "",
            f"Trained `{table[0]['arm']}` goes on with another mechanism in its "
            f"{rows[0]['slot']} block: word error rate on word strings (greedy) in points, less "
            f"that of `{control['arm']}`, which goes on as it is "
            f"({100 * float(control['words_wer']):.1f} %, entropy "
            f"{float(control['entropy']):.2f}), with its bootstrap interval. \\*: found among "
            "all (Holm, 5 %). Entropy is over log n, of the changed layer's rows where they sum to "
            f"one. Profile `{profile}`, seeds per arm: {control['seeds']}; figures are in "
            "[notebook 14](notebooks/executed/14-variants.ipynb).",
        ]
    )


def summary(mechanism: str) -> str:
    """The first line of a mechanism's class docstring."""
    return inspect.getdoc(attention.load(mechanism)[1]).splitlines()[0]


def verdicts(profile: str, judged: dict) -> str:
    """The claims, how they were decided, and the line that says what is shown."""
    claims = judged["claims"]
    lines = [
        _row(["", "the source says", "what was compared", "effect", "n × seeds", "verdict"]),
        _row(["---"] * 3 + ["---:"] * 2 + ["---"]),
    ]
    for name, claim in claims.items():
        size = f"{claim['n']} × {claim['seeds']}" if claim.get("n") else "–"
        said = [claim["claim"], claim["test"], _effect(claim), size]
        mark = "†" if name in judged["of_one_machine"] else ""
        lines.append(_row([name, *said, f"**{claim['verdict']}**{mark}"]))
    marked = " †: of one machine." if judged["of_one_machine"] else ""
    begun = any(claim.get("base") is not None for claim in claims.values())
    start = ", and from where," if begun else ""
    found = []
    for verdict in VERDICTS:
        if names := [name for name, claim in claims.items() if claim["verdict"] == verdict]:
            found.append(f"{verdict.capitalize()}: {', '.join(names)}.")
    return "\n".join(
        [
            *lines,
            "",
            f"{' '.join(found)} Effects in percentage points (C0: the worst arm's "
            f"word error rate in percent; C2: entropy / log n){start} with their "
            f"{100 * judged['confidence']:g} % intervals over utterances and seeds. "
            f"Profile `{profile}`, computed on: {judged['hardware']}. The reason of "
            f"every verdict is in `results/{profile}/verdicts.json`." + marked,
        ]
    )


def run_times(judged: dict) -> str:
    """What the run time of each hybrid is: empty if it was not measured."""
    said = []
    for module, rows in judged["claims"]["C0"]["lines"]["run_time"].items():
        if rows:
            ratios = [row["ratio"] for row in rows]
            slower = [str(row["length"]) for row in rows if row["word"] == "slower"]
            said.append(
                f"The {module} hybrid takes {min(ratios):.2f} to {max(ratios):.2f} times as long "
                f"as plain attention, shown to be slower at {len(slower)} of {len(rows)} lengths."
            )
    return " ".join(said)


def machines(profile: str) -> str:
    """What every machine that was tried made of the profile: empty if there is none.

    In the first edition of the plan plain Echo had a gate to pass, which those rows name; they are
    history, and the paper's.
    """
    known = read_json(MACHINES)["machines"] if MACHINES.exists() else []
    rows = [one for one in known if one["profile"] == profile and "gate" not in one]
    lines = [
        f"Profile `{profile}`, everything made anew for each row:",
        "",
        _row(["processor", "sources", "minutes", "recalled by each seed (%)", "C2", "C3"]),
        _row(["---", "---", "---:", "---", "---", "---"]),
    ]
    for machine in rows:
        recalled = ", ".join(f"{100 * share:.0f}" for share in machine["recalled"].values())
        minutes = "–" if machine["minutes"] is None else f"{machine['minutes']:.0f}"
        told = [machine["verdicts"][name]["verdict"] for name in ("C2", "C3")]
        made = [machine["hardware"], f"`{machine['sources'][:6]}`", minutes, recalled]
        lines.append(_row([*made, *told]))
    return "\n".join(lines) if rows else ""


def insert(text: str, content: str) -> str:
    """`text` with `content` between the markers. Raises UserError if they are not there once."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{README}: expected one line {BEGIN!r} and, after it, one line {END!r}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{rest.split(END)[1]}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(cell: dict[str, str] | None) -> str:
    if cell is None:
        return "–"
    value, low, high = (100 * float(cell[name]) for name in ("wer", "wer_low", "wer_high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _effect(claim: dict) -> str:
    if claim.get("effect") is None:
        return "not compared"
    of = claim["unit"].split()[0]
    factor, places = (1, 3) if of == "entropy" else (100, 1)
    value, low, high = (f"{factor * claim[key]:.{places}f}" for key in ("effect", "low", "high"))
    sign = "" if of == "word" or value.startswith("-") else "+"
    base = "" if claim.get("base") is None else f" from {factor * claim['base']:.{places}f}"
    return f"{sign}{value} [{low}, {high}]{base}".replace("-", "−")


def _found(row: dict[str, str]) -> bool:
    return float(row["p_holm"]) < LEVEL


def _signed(part: dict, places: int, name: str = "effect") -> str:
    value, low, high = (f"{part[key]:.{places}f}" for key in (name, "low", "high"))
    sign = "" if value.startswith("-") else "+"
    return f"{sign}{value} [{low}, {high}]".replace("-", "−")


def _size(cell: dict[str, str]) -> str:
    return f"{cell['utterances']}, {cell['words']}"


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description="Write README.md's results tables.").parse_args(argv)
    params = load()
    profile = params.profile
    if profile == "smoke":
        logging.info("%s: left as it is; a smoke run has no results to show", README)
        return
    write_text(
        README, insert(README.read_text(encoding="utf-8"), results(profile, params.findings))
    )
    logging.info("%s: results of profile %s", README, profile)


if __name__ == "__main__":
    run(main)
