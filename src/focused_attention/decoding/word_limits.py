"""What openai-whisper does to the times of words before it shows them.

https://github.com/openai/whisper `timing.py`, `add_word_timestamps`: a punctuation mark joins its
word, and a word that is far too long at the border of a sentence or a segment is cut, for there the
way through the picture runs along silence.
"""

import statistics
from collections.abc import Sequence
from itertools import pairwise

from focused_attention.decoding.word_times import Word

LONGEST = 0.7  # seconds: no typical word is taken to be longer
SENTENCE_ENDS = ".。!！?？"
BEFORE = "\"'“¿([{-"  # joins the next word
AFTER = "\"'.。,，!！?？:：”)]}、"  # joins the last word
SLACK = 0.5  # seconds by which a segment may differ from its words


def typical(words: Sequence[Word]) -> float:
    """The median duration of words that take time, at most `LONGEST`; 0 without any."""
    durations = [word.end - word.start for word in words if word.end != word.start]
    return min(LONGEST, statistics.median(durations)) if durations else 0.0


def shorten_at_sentences(words: list[Word], typical: float) -> None:
    """Cut, in place, marks that end a sentence and words that follow one to twice the typical."""
    if not typical:
        return
    for last, word in pairwise(words):
        if word.end - word.start > 2 * typical:
            if word.text in SENTENCE_ENDS:
                word.end = word.start + 2 * typical
            elif last.text in SENTENCE_ENDS:
                word.start = word.end - 2 * typical


def join_marks(words: list[Word]) -> list[Word]:
    """Words with the marks that belong to them; a word keeps its own times and probability."""
    joined: list[Word] = []
    for word in reversed(words):  # opening marks, from behind
        opens = word.text.startswith(" ") and word.text.strip() in BEFORE
        if joined and opens:
            joined[-1].text = word.text + joined[-1].text
            joined[-1].tokens = word.tokens + joined[-1].tokens
        else:
            joined.append(word)
    kept: list[Word] = []
    for word in reversed(joined):
        if kept and not kept[-1].text.endswith(" ") and word.text in AFTER:
            kept[-1].text += word.text
            kept[-1].tokens = kept[-1].tokens + word.tokens
        else:
            kept.append(word)
    return kept


def fit_segment(
    words: list[Word], start: float, end: float, last_speech: float, typical: float
) -> tuple[float, float]:
    """Cut, in place, the words at a segment's borders; the segment's start and end after that.

    All in seconds of the recording; `last_speech` is where the segment before ended.
    """
    longest, first, last = 2 * typical, words[0], words[-1]
    after_pause = first.end - last_speech > 4 * typical
    second = words[1] if len(words) > 1 else None
    long_pair = second is not None and second.end - first.start > 2 * longest
    if after_pause and (first.end - first.start > longest or long_pair):
        if second is not None and second.end - second.start > longest:
            first.end = second.start = max(second.end / 2, second.end - longest)
        first.start = max(0.0, first.end - longest)
    if start < first.end and start - SLACK > first.start:  # the segment knows better
        first.start = max(0.0, min(first.end - typical, start))
    else:
        start = first.start
    if end > last.start and end + SLACK < last.end:
        last.end = max(last.start + typical, end)
    else:
        end = last.end
    return start, end
