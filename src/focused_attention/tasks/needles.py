"""The words that are sought in haystacks: values and keys, as Asterisk's prompts have them.

A value is a digit, a key a weekday or a month. Every language has the same prompts, so a word is
told by the name of its prompt, and a digit by its place among the values.
"""

from dataclasses import dataclass

from focused_attention.speech.store import FeatureStore

VALUES = tuple(f"digits/{n}" for n in range(10))
WEEKDAYS = tuple(f"digits/day-{n}" for n in range(7))  # Sunday first
MONTHS = tuple(f"digits/mon-{n}" for n in range(12))


@dataclass(frozen=True, kw_only=True, slots=True)
class Needles:
    """What is sought in one language."""

    values: tuple[str, ...]  # words, zero first
    keys: tuple[str, ...]

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.values + self.keys)

    def numeral(self, word: str) -> str:
        """The digit of a value, as a character: "3" of "three"."""
        return str(self.values.index(word))

    @classmethod
    def of(cls, store: FeatureStore, language: str) -> "Needles":
        """Those of a store that are said in one word, values in their order.

        Where a value is missing, there is none at all: a place would no longer tell its digit.
        """
        said = {r.key: r.text for r in store.recordings if r.language == language}
        values = tuple(said[key] for key in VALUES if key in said)
        keys = tuple(said[key] for key in WEEKDAYS + MONTHS if key in said)
        return cls(
            values=values if len(values) == len(VALUES) else (),
            keys=tuple(key for key in keys if " " not in key),
        )
