"""The verdicts on the claims in words, for the notebooks: every number comes from verdicts.json."""

from collections.abc import Mapping

def verdict(verdicts: Mapping, *claims: str) -> str:
    """Markdown: of each claim what it says, how it was tested and what came of it.

    `verdicts` is the content of verdicts.json. Raises ValueError for a claim that it does not have.
    """
    known = verdicts["claims"]
    if missing := [claim for claim in claims if claim not in known]:
        raise ValueError(f"claim: expected one of {', '.join(known)}, given {missing[0]!r}")
    return "\n\n".join(_paragraph(claim, known[claim]) for claim in claims)


def _paragraph(name: str, of: Mapping) -> str:
    lines = [
        f"**{name}.** {of['claim']}",
        f"*Test:* {of['test']}.",
        f"**{of['verdict'].capitalize()}.** {of['reason'] or ''} {_numbers(of)}".rstrip(),
    ]
    if missing := of["missing"]:
        width = _amount(missing["half_width"], of["unit"])
        more = [f"{missing[what]} {what}" for what in ("utterances", "seeds") if missing.get(what)]
        lines.append(f"Half of the interval is {width} wide; {' or '.join(more)} would halve it.")
    return "  \n".join(lines)


def _numbers(of: Mapping) -> str:
    """Effect and interval in the claim's unit, shares as percentages; empty if none was found."""
    if of["effect"] is None:
        return ""
    low, high = (_amount(of[edge], of["unit"]) for edge in ("low", "high"))
    found = f"{_amount(of['effect'], of['unit'])} {of['unit']}, from {low} to {high}"
    if of["p_holm"] is not None:
        found += f"; p = {of['p_holm']:.2g} after Holm"
    return f"{found}; {of['n']} utterances, {of['seeds']} seeds."


def _amount(value: float, unit: str) -> str:
    """A share of one as a percentage or, of a difference, in points; entropies as they are."""
    if unit.startswith("entropy"):
        return f"{value:.3f}".replace("-", "−")
    mark = " %" if unit.startswith("word error rate") else " points"
    return f"{100 * value:.1f}{mark}".replace("-", "−")


def checks(verdicts: Mapping) -> str:
    """Markdown: every check of the instrument, and whether it holds."""
    says = {True: "holds", False: "**fails**", None: "not measured"}
    rows = [f"- {check['test']}: {says[check['holds']]}" for check in verdicts["checks"].values()]
    return "\n".join(rows)
