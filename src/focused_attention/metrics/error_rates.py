"""Word and character error rates of a corpus, from counts per utterance.

Distances are Levenshtein's: fewest substitutions, insertions and deletions. rapidfuzz counts them;
where it is not installed, as on a machine that only trains, Python does.
"""

from collections.abc import Sequence

try:
    from rapidfuzz.distance.Levenshtein import distance as edit_distance
except ImportError:

    def edit_distance(reference: Sequence, hypothesis: Sequence) -> int:
        """Fewest substitutions, insertions and deletions between two sequences."""
        previous = list(range(len(hypothesis) + 1))
        for i, expected in enumerate(reference, 1):
            current = [i]
            for j, given in enumerate(hypothesis, 1):
                substitution = previous[j - 1] + (expected != given)
                current.append(min(substitution, previous[j] + 1, current[-1] + 1))
            previous = current
        return previous[-1]


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Word errors and reference words of an utterance."""
    words = reference.split()
    return edit_distance(words, hypothesis.split()), len(words)


def character_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Character errors and reference characters of an utterance, spaces included."""
    return edit_distance(reference, hypothesis), len(reference)


def error_rate(counts: Sequence[tuple[int, int]]) -> float:
    """Errors over reference units of a whole corpus, not the mean over utterances."""
    return sum(errors for errors, _ in counts) / max(1, sum(units for _, units in counts))
