"""Stage measure: everything that params.yaml measures on one trained arm with one seed.

A file of rows for every measure, in a folder of its name; and one that says, for this run, which
files there are, with their SHA-256, and what does not apply to the arm and why. All measures hear
the same recordings at once.
"""

import dataclasses
import hashlib
import logging
from collections import Counter
from functools import partial
from pathlib import Path

from focused_attention import inference, measures, results
from focused_attention.errors import UserError, run
from focused_attention.measures import Measure, Subject
from focused_attention.paths import PARAMS, RESULTS
from focused_attention.runs import seeking
from focused_attention.runs.hearing import Recordings, hear


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    subject = Subject(work=work, model=work.trained(), haystacks=haystacks)
    taken, found = chosen(subject)
    count = listen(subject, list(taken.values()))
    folder = RESULTS / work.params.profile
    for name, measure in taken.items():
        found[name] = {
            "files": write(measure, folder / name, work.run),
            "shown": dataclasses.asdict(measure.shown),
            "not_applicable": measure.lacking,
        }
    listed = [f"measures/{name}.py" for name in found]
    listed += [f"inference/{name}.py" for name in inference.names()]
    about = work.provenance("test", "measure", *listed)
    path = folder / "measure" / f"{work.run}.json"
    results.write_json(path, about | {"heard": count, "measures": found})
    logging.info("measure %s: %s", work.run, ", ".join(f"{n} {what}" for what, n in count.items()))


def chosen(subject: Subject) -> tuple[dict[str, Measure], dict[str, dict]]:
    """The measures that are taken of the arm, and what is to be said of those that cannot be.

    Raises UserError for a measure that there is not, or a setting that it does not have.
    """
    params, arm = subject.work.params, subject.work.arm["arm"]
    taken, refused = {}, {}
    for name in params.measure:
        try:
            settings, measure = measures.load(name)
        except ValueError as error:
            raise UserError(f"{PARAMS}: {error}") from None
        if arm not in params.runs.measure.get(name, [arm]):
            continue
        settings = params.settings(name, settings)
        if reasons := [why for need in measure.requires if (why := need(subject))]:
            refused[name] = {"files": {}, "not_applicable": {"": reasons[0]}}
        else:
            taken[name] = measure(subject, settings)
    return taken, refused


def listen(subject: Subject, taken: list[Measure]) -> dict[str, int]:
    """Have all measures hear what they ask for; how much was asked for, and how much was made."""
    heard: dict[Recordings, list[Measure]] = {}
    for measure in taken:
        for asked in dict.fromkeys(measure.recordings()):
            heard.setdefault(asked, []).append(measure)
    count = Counter()
    for asked, listeners in heard.items():
        utterances = subject.haystacks.evaluation(asked.split, asked.size, asked.utterances)
        for measure in listeners:
            measure.begin(asked, utterances)
        asking = [partial(measure.hear, asked) for measure in listeners]
        count += hear(subject.work, subject.model, utterances, asked.batch_seconds, asking)
    return dict(sorted(count.items()))


def write(measure: Measure, folder: Path, name: str) -> dict[str, str]:
    """Write what was measured; the SHA-256 of every file, by name. No rows, no file."""
    written = {}
    rows = measure.rows()
    tables = {"": (rows, ()), **measure.more()} if rows else {}
    for ending, (table, columns) in tables.items():
        path = folder / f"{name}{ending}.csv"
        results.write_csv(path, table, columns)
        written[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return written


if __name__ == "__main__":
    run(main)
