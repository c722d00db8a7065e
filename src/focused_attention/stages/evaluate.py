"""Stage evaluate: what one trained arm hears in the test utterances, greedily or by beam too."""

from focused_attention import results
from focused_attention.decoding.transcribe import written
from focused_attention.errors import run
from focused_attention.metrics.error_rates import error_rate, word_errors
from focused_attention.paths import RESULTS
from focused_attention.runs import session
from focused_attention.runs.hearing import Heard, hear


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    model, composer, params = work.trained(), work.composer, work.params.evaluate
    every = {"greedy": 1, "beam": params.beam}
    widths = {name: every[name] for name in params.decoders[work.stage]}
    rows, summary = [], {}
    for task in work.training.mixture:
        utterances = composer.evaluation(task, "test", params.utterances.get(task))
        texts: dict[str, dict[str, str]] = {}

        def write(heard: Heard, texts=texts) -> None:
            batch, (audio, mask, *_) = heard.batch, heard.encoded()
            for decoder, width in widths.items():
                given = model, composer, batch.utterances, audio, mask
                found = written(*given, width, params.max_tokens)
                for utterance, text in zip(batch.utterances, found, strict=True):
                    texts.setdefault(utterance.id, {})[decoder] = text

        hear(work, model, utterances, params.batch_seconds, [write])
        for u in utterances:
            rows.append(
                {"task": task, "id": u.id, "language": u.language, "reference": u.text}
                | texts[u.id]
            )
        for decoder in widths:
            counts = [word_errors(u.text, texts[u.id][decoder]) for u in utterances]
            summary[f"{task}_{decoder}_wer"] = error_rate(counts)
        summary[f"{task}_utterances"] = len(utterances)
    folder = RESULTS / work.params.profile / "evaluate"
    results.write_csv(folder / f"{work.run}.csv", rows)
    results.write_json(folder / f"{work.run}.json", work.provenance("test", "evaluate") | summary)


if __name__ == "__main__":
    run(main)
