"""What recall scores without binding: guessers, from the task's numbers and from its recordings.

Keys and digits never stand in the hay, so a recording's only digits are the values of its pairs. To
name one of those, whichever, needs ears and no binding, and is right more often than a blind guess:
it may be the pair that was asked, and values of different pairs may be equal. Who hears can guess
better still, by naming the digit that was said most often or last: of the recordings at hand.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from statistics import fmean

from focused_attention.tasks.utterances import DIGITS
from focused_attention.verdicts.findings import Rows

VALUES = len(DIGITS)


def any_digit() -> Fraction:
    """Who names one of the ten digits."""
    return Fraction(1, VALUES)


def heard_digit(pairs: int) -> Fraction:
    """Who names a value of one of the recording's `pairs`, drawn independently of each other.

    >>> heard_digit(3)
    Fraction(2, 5)
    """
    return Fraction(1, pairs) + (1 - Fraction(1, pairs)) * any_digit()


def every_digit(asked: int) -> float:
    """The F1 of spot of who writes each of the ten digits once, where `asked` are said."""
    right = VALUES * (1 - (1 - float(any_digit())) ** asked)
    return 2 * right / (asked + VALUES)


def share(heard: str, value: str) -> float:
    return heard.count(value) / len(heard)


def most_frequent(heard: str, value: str) -> float:
    """Of equals, one is named."""
    counts = Counter(heard)
    best = [digit for digit, n in counts.items() if n == max(counts.values())]
    return (value in best) / len(best)


GUESSERS: dict[str, Callable[[str, str], float]] = {  # who hears, and how often that is right
    "any heard digit": share,
    "most frequent heard digit": most_frequent,
    "first heard digit": lambda heard, value: float(heard[0] == value),
    "last heard digit": lambda heard, value: float(heard[-1] == value),
}


def guessers(asked: Rows) -> list[dict]:
    """What each who hears scores on the recordings of every size; `asked` is asked.csv."""
    return [
        {"hay": hay, "guesser": name, "utterances": len(of)}
        | {"rate": fmean(guess(row["heard"], row["value"]) for row in of)}
        for hay in dict.fromkeys(int(row["hay"]) for row in asked)
        for of in [[row for row in asked if int(row["hay"]) == hay]]
        for name, guess in GUESSERS.items()
    ]


def chance(pairs: int, digits: int, found: Sequence[dict]) -> dict:
    """What guessers score in recall and spot, with the numbers it comes from.

    `best_hearing` is the best of those who hear, at the longest size (`found` is of `guessers`).
    """
    longest = max((row["hay"] for row in found), default=None)
    best = max(
        (row for row in found if row["hay"] == longest), key=lambda row: row["rate"], default=None
    )
    return {
        "any_digit": float(any_digit()), "heard_digit": float(heard_digit(pairs)),
        "pairs": pairs, "values": VALUES, "best_hearing": best,
        "every_digit_f1": every_digit(digits),
    }  # fmt: skip
