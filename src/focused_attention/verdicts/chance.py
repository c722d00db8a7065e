"""What recall scores without binding: two guessers, from the numbers of the task.

Keys and digits never stand in the hay, so a recording's only digits are the values of its pairs. To
name one of those, whichever, needs ears and no binding, and is right more often than a blind guess:
it may be the pair that was asked, and values of different pairs may be equal.
"""

from fractions import Fraction

from focused_attention.tasks.utterances import DIGITS

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


def chance(pairs: int) -> dict[str, float | int]:
    """Both as shares, with the numbers they come from."""
    return {
        "any_digit": float(any_digit()), "heard_digit": float(heard_digit(pairs)),
        "pairs": pairs, "values": VALUES,
    }  # fmt: skip
