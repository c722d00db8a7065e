"""Word errors on natural speech by others: a check of sanity, too little for an interval."""

from collections.abc import Mapping, Sequence

ERRORS = ("substitutions", "deletions", "insertions")


def table(model: str, rows: Sequence[Mapping[str, str]]) -> list[dict]:
    """A row for every speaker, of the rows of trials/natural.py: errors in per cent of the words.

    >>> row = {"speaker": "cards", "seconds": "1.5", "words": "4", "substitutions": "1"}
    >>> table("base", [row | {"deletions": "0", "insertions": "0"}])[0]["wer"]
    25.0
    """
    told = []
    for speaker in dict.fromkeys(row["speaker"] for row in rows):
        own = [row for row in rows if row["speaker"] == speaker]
        words = sum(int(row["words"]) for row in own)
        wrong = sum(int(row[name]) for row in own for name in ERRORS)
        about = {"model": model, "speaker": speaker, "recordings": len(own)}
        about |= {"seconds": sum(float(row["seconds"]) for row in own)}
        told.append(about | {"words": words, "errors": wrong, "wer": 100 * wrong / words})
    return told
