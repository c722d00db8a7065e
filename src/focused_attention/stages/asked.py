"""Stage asked: what the recordings of recall hold, and what is asked of them. No model runs.

A row for every size, split and filler, with a digit a recording, in the order in which every run
answers them: the value that is asked for, those of the other pairs, and the lone ones, in the order
in which they were said; and what those who guess would say. With them an answer that was kept is
told apart: right, another pair's, heard but in no pair, or never heard.
"""

import argparse
from collections.abc import Sequence

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import Params, load
from focused_attention.paths import RESULTS
from focused_attention.speech.store import FeatureStore
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.haystack import HaystackComposer, closed
from focused_attention.tasks.sizes import Recall
from focused_attention.tasks.utterances import Utterance, Word


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    store = closed(FeatureStore.open())
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    haystacks = HaystackComposer(composer, params.haystack)
    rows = [
        {"split": split, "filler": size.filler, "hay": size.words, "pairs": size.pairs}
        | {"digits": size.digits, "keys": size.keys, "utterances": params.recall.utterances}
        | described(haystacks, haystacks.evaluation(split, size, params.recall.utterances))
        for split, size in sizes(params)
    ]
    results.write_csv(RESULTS / params.profile / "asked.csv", rows)


def sizes(params: Params) -> list[tuple[str, Recall]]:
    """What the measure `recall` listens to."""
    of = params.recall
    held = {"pairs": of.pairs, "digits": of.digits, "keys": of.keys}
    test = [
        ("test", Recall(words=words, filler=filler, **held))
        for words in of.words
        for filler in of.fillers
    ]
    return [*test, ("dev", Recall(words=max(of.words), **held))]


def described(haystacks: HaystackComposer, utterances: Sequence[Utterance]) -> dict:
    """Mean seconds, and of every recording the digits; groups of several with spaces between."""
    composer = haystacks.composer
    each = [held(haystacks, utterance) for utterance in utterances]
    seconds = sum(u.frames for u in utterances) / len(utterances) * composer.frame
    columns = {
        name: (" " if name in ("others", "lone") else "").join(one[name] for one in each)
        for name in each[0]
    }
    return {"seconds": round(seconds, 3)} | columns


def held(haystacks: HaystackComposer, utterance: Utterance) -> dict[str, str]:
    """The digits of one recording, by their parts."""
    needles, composer = haystacks.needles, haystacks.composer
    key = composer.store.tokenizer.decode(utterance.query)
    said = composer.words(utterance)
    places = [i for i, word in enumerate(said) if word.text in needles.values]
    paired = [i for i in places if i and said[i - 1].text in needles.keys]
    asked = next(i for i in paired if said[i - 1].text == key)
    near = min(places, key=lambda i: distance(said[i], said[asked - 1]))

    def numerals(chosen: Sequence[int]) -> str:
        return "".join(needles.numeral(said[i].text) for i in chosen)

    return {
        "value": numerals([asked]),
        "others": numerals([i for i in paired if i != asked]) or "-",
        "lone": numerals([i for i in places if i not in paired]) or "-",
        "nearest": numerals([near]),  # to the key in time, before it or after
        "last_pair": numerals(paired[-1:]),
        "last": numerals(places[-1:]),
        "place": str(paired.index(asked) + 1),  # of the pair among the pairs
    }


def distance(one: Word, other: Word) -> int:
    """Frames of silence or other words between two words."""
    return max(one.start, other.start) - min(one.end, other.end)


if __name__ == "__main__":
    run(main)
