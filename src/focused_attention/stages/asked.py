"""Stage asked: what the test recordings of recall hold, and what is asked of them. No model runs.

A row a recording, in the order in which every run answers them: the digits that are said, in their
order, the place of the pair that is asked, and its value. With them the answers that were kept can
be held against anybody who guesses.
"""

import argparse

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import RESULTS
from focused_attention.speech.store import FeatureStore
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.haystack import KEYS, HaystackComposer, closed
from focused_attention.tasks.utterances import DIGITS

NUMERALS = {
    name: str(value)
    for value, name in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
}
assert NUMERALS.keys() == DIGITS


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    store = closed(FeatureStore.open())
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    haystacks, sweep = HaystackComposer(composer, params.haystack), params.sweep
    rows = []
    for hay in sweep.words:
        for u in haystacks.evaluation("recall", "test", sweep.pairs, hay, sweep.utterances):
            said = [word.text for word in composer.words(u)]
            keys = [word for word in said if word in KEYS]
            rows.append(
                {"pairs": sweep.pairs, "hay": hay}
                | {"heard": "".join(NUMERALS[word] for word in said if word in DIGITS)}
                | {"place": keys.index(store.tokenizer.decode(u.query)) + 1}
                | {"value": NUMERALS[u.text.split()[0]]}
            )
    results.write_csv(RESULTS / params.profile / "asked.csv", rows)


if __name__ == "__main__":
    run(main)
