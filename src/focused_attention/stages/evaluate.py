"""Stage evaluate: what one trained arm hears in the test utterances, greedily and by beam."""

import argparse

from focused_attention import results
from focused_attention.errors import UserError, run
from focused_attention.metrics.error_rates import error_rate, word_errors
from focused_attention.params import load
from focused_attention.paths import FEATURES, RESULTS, RUNS
from focused_attention.store import FeatureStore
from focused_attention.tasks import Composer, bucketed
from focused_attention.training import checkpoint, device
from focused_attention.training.arms import build_model, resolve
from focused_attention.training.loop import transcribe


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", help="a row of `arms:` in params.yaml")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    params = load()
    arm = resolve(params, args.arm)
    run_name = f"{args.arm}-{args.seed}"
    weights = RUNS / params.profile / f"{run_name}.safetensors"
    tensors, _ = checkpoint.load(weights)
    store = FeatureStore.open(FEATURES)
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    hardware = device.prepare(params.threads)
    model = build_model(arm, store)
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(
            f"{weights}: does not fit arm {args.arm!r} of params.yaml; train the arm again"
        ) from None
    model.to(hardware).eval()
    rows, summary = [], {}
    budget = params.evaluate.batch_seconds / composer.frame
    for task in params.train.mixture:
        utterances = composer.evaluation(task, "test", params.evaluate.utterances.get(task))
        heard: dict[str, dict[str, str]] = {}
        for decoder, beam in (("greedy", 1), ("beam", params.evaluate.beam)):
            for group in bucketed(utterances, budget):
                texts = transcribe(
                    model, composer, composer.batch(group), hardware, beam,
                    params.evaluate.max_tokens,
                )  # fmt: skip
                for utterance, text in zip(group, texts, strict=True):
                    heard.setdefault(utterance.id, {})[decoder] = text
        for u in utterances:
            rows.append(
                {"task": task, "id": u.id, "language": u.language, "reference": u.text}
                | heard[u.id]
            )
        for decoder in ("greedy", "beam"):
            counts = [word_errors(u.text, heard[u.id][decoder]) for u in utterances]
            summary[f"{task}_{decoder}_wer"] = error_rate(counts)
        summary[f"{task}_utterances"] = len(utterances)
    folder = RESULTS / params.profile / "evaluate"
    results.write_csv(folder / f"{run_name}.csv", rows)
    results.write_json(
        folder / f"{run_name}.json",
        {
            "profile": params.profile,
            "hardware": device.describe(hardware, params.threads),
            "arm": args.arm,
            "seed": args.seed,
            "split": "test",
            **summary,
        },
    )


if __name__ == "__main__":
    run(main)
