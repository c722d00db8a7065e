"""The verdicts on the claims in words, for the notebooks: every number comes from verdicts.json."""

from collections.abc import Mapping

CLAIMED = {
    "supported": "The claim is supported",
    "refuted": "The claim is refuted",
    "undecided": "Undecided",
}


def verdict(verdicts: Mapping, *claims: str) -> str:
    """Markdown: of each claim what it says, how it was tested and what came of it.

    `verdicts` is the content of verdicts.json. Raises ValueError for a claim that it does not have.
    """
    known = verdicts["claims"]
    if missing := [claim for claim in claims if claim not in known]:
        raise ValueError(f"claim: expected one of {', '.join(known)}, given {missing[0]!r}")
    return "\n\n".join(_paragraph(claim, known[claim]) for claim in claims)


def _paragraph(name: str, of: Mapping) -> str:
    decided = str(of.get("verdict") or "undecided")
    lines = [
        f"**{name}.** {of['claim']}",
        f"*Test:* {of['test']}",
        f"**{CLAIMED.get(decided, decided.capitalize())}.** {_numbers(of)}".rstrip(),
    ]
    if reason := of.get("reason"):
        lines.append(_sentence(reason))
    if missing := of.get("missing"):
        listed = missing if isinstance(missing, str) else ", ".join(map(str, missing))
        lines.append(f"Missing: {listed}.")
    return "  \n".join(lines)


def _numbers(of: Mapping) -> str:
    if of.get("effect") is None:
        return ""
    unit = f" {of['unit']}" if of.get("unit") else ""
    found = f"Effect {_number(of['effect'])}"
    if of.get("low") is not None and of.get("high") is not None:
        found += f" [{_number(of['low'])}, {_number(of['high'])}]"
    parts = [found + unit]
    if of.get("margin") is not None:
        parts.append(f"margin {_number(of['margin'])}")
    if of.get("p_holm") is not None:
        parts.append(f"p = {of['p_holm']:.2g} after Holm")
    if of.get("n"):
        parts.append(f"n = {of['n']}")
    if of.get("seeds"):
        parts.append(f"seeds: {_listed(of['seeds'])}")
    return "; ".join(parts) + "."


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
