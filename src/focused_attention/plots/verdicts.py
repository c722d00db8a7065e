"""The verdicts on the claims in words, for the notebooks: every number comes from verdicts.json."""

from collections.abc import Mapping

PARTS = {"f1": "F1", "written": "digits written for each asked"}  # where a name is not the word


def verdict(verdicts: Mapping, *claims: str) -> str:
    """Markdown: of each claim what it says, how it was tested and what came of it.

    `verdicts` is the content of verdicts.json. Raises ValueError for a claim that it does not have.
    """
    return "\n\n".join(_paragraph(claim, _claim(verdicts, claim)) for claim in claims)


def judged(verdicts: Mapping, *claims: str) -> str:
    """Markdown: verdicts of the second trial, a paragraph a claim, and the checks that guard them.

    Raises ValueError for a claim that there is not.
    """
    told = []
    for name in claims:
        of = _claim(verdicts, name)
        parts = [f"**{name}.** {of['claim']}", f"*Test:* {of['test']}."]
        found = f"**{of['verdict'].capitalize()}.** {of['reason']}"
        if of.get("effect") is not None:
            unit = of["unit"][:1].upper() + of["unit"][1:]
            low, high = (_number(of[edge], of["unit"]) for edge in ("low", "high"))
            found += f" {unit}: {_amount(of['effect'], of['unit'])} [{low}, {high}]"
            if of.get("base") is not None:
                found += f" from {_number(of['base'], of['unit'])}"
            found += f"; p = {of['p_holm']:.2g} after Holm; n = {of['n']}, seeds: {of['seeds']}."
        parts.append(found)
        if (power := of.get("power")) and power["detectable"]:
            parts.append(f"*Power*, of the spread that was found: {_powers(power, of['unit'])}.")
        told.append("  \n".join(parts))
    states = [
        f"{name}: {of['state']}"
        for name, of in verdicts["checks"].items()
        if set(of["guards"]) & set(claims)
    ]
    checked = [f"Checks: {'; '.join(states)}."] if states else []
    return "\n\n".join([*told, *checked])


def _powers(power: Mapping, unit: str) -> str:
    """What as large a trial finds, an effect of the margin's size, and the lack of one."""
    return (
        f"an effect of {_amount(power['detectable'], unit)} is found in 80 % of such trials, one "
        f"as large as the margin in {100 * power['found']:.0f} %, and that there is none is "
        f"shown in {100 * power['equivalent']:.0f} %"
    )


def _claim(verdicts: Mapping, name: str) -> Mapping:
    known = verdicts["claims"]
    if name not in known:
        raise ValueError(f"claim: expected one of {', '.join(known)}, given {name!r}")
    return known[name]


def _paragraph(name: str, of: Mapping) -> str:
    lines = [
        f"**{name}.** {of['claim']}",
        f"*Test:* {of['test']}.",
        f"**{of['verdict'].capitalize()}.** {of['reason'] or ''} {_numbers(of)}".rstrip(),
    ]
    if ungated := of.get("ungated"):
        lines.append(f"As they are, which decides nothing: {_numbers(of | ungated)}")
    if parts := of.get("parts") or (ungated or {}).get("parts"):
        lines += _parts(parts, of["unit"])
    if missing := of["missing"]:
        width = _amount(missing["half_width"], of["unit"])
        what = [name for name in ("utterances", "seeds") if missing.get(name)]
        more = f"{' and '.join(f'{missing[name]} {name}' for name in what)} would halve it"
        lines.append(f"The interval reaches {width} either way; {more}.")
    return "  \n".join(lines)


def _numbers(of: Mapping) -> str:
    """Effect and interval in the claim's unit; empty if nothing was compared."""
    if of["effect"] is None:
        return ""
    unit = of["unit"][:1].upper() + of["unit"][1:]
    low, high = (_number(of[edge], of["unit"]) for edge in ("low", "high"))
    found = f"{unit}: {_amount(of['effect'], of['unit'])} [{low}, {high}]"
    if of["p_holm"] is not None:
        found += f"; p = {of['p_holm']:.2g} after Holm"
    return f"{found}; {of['n']} utterances, seeds: {of['seeds']}."


def _parts(parts: Mapping | list, unit: str) -> list[str]:
    """One line with the effects that a claim's own is made of, if `parts` is a table of effects."""
    if not isinstance(parts, Mapping):
        return []
    effects = [
        f"{PARTS.get(name, name)} {_amount(of['effect'], unit)} "
        f"[{_number(of['low'], unit)}, {_number(of['high'], unit)}]"
        for name, of in parts.items()
    ]
    return [f"In parts: {'; '.join(effects)}."]


def _amount(value: float, unit: str) -> str:
    """A rate in per cent, a difference of rates in points, an entropy as it is."""
    mark = {"word": " %", "entropy": ""}.get(unit.split()[0], " points")
    return _number(value, unit) + mark


def _number(value: float, unit: str) -> str:
    number = f"{value:.3f}" if unit.startswith("entropy") else f"{100 * value:.1f}"
    return number.replace("-", "−")


def checks(verdicts: Mapping) -> str:
    """Markdown: every check of the instrument, whether it holds, and which claims it bears on.

    A check without a bound compares what has no interval.
    """
    says = {True: "holds", False: "**fails**", None: "not measured"}
    outcomes = {"holds": "holds", "fails": "**fails**", "waits": "waits for more", None: says[None]}
    rows = []
    for check in verdicts["checks"].values():
        row = f"- {check['test']}: {says[check['holds']]}"
        if guards := check["guards"]:
            row += f"; guards {', '.join(guards)}"
        stricter = check["equivalence"]
        if stricter["bound"]:
            bound = f"{100 * stricter['bound']:g} points"
            row += f"; with a bound of {bound}, the next plan's rule: "
            row += outcomes[stricter["outcome"]]
            row += f" (intervals of {100 * check['confidence']:g} %)"
        rows.append(row)
    return "\n".join(rows)
