"""Stage collect: the tables and the summary that the notebooks, the paper and the README read."""

import argparse
import dataclasses
from collections.abc import Sequence

import jiwer
import numpy as np

from focused_attention import results
from focused_attention.errors import UserError, run
from focused_attention.metrics.error_rates import character_errors, word_errors
from focused_attention.params import Params, load
from focused_attention.paths import ARMS, RESULTS
from focused_attention.verdicts import measured, variants
from focused_attention.verdicts.statistics import difference_interval, rate_interval

BASELINE = "whisper"
DECODERS = ("greedy", "beam")
UNITS = {"wer": (word_errors, jiwer.wer), "cer": (character_errors, jiwer.cer)}


class Hypotheses:
    """What one arm wrote, over its seeds, for the same utterances of one task and language."""

    def __init__(self, rows: list[list[dict[str, str]]], decoder: str):
        """`rows`: per seed, the rows of evaluate/<arm>-<seed>.csv."""
        self.references = [row["reference"] for row in rows[0]]
        self.texts = [[row[decoder] for row in seed] for seed in rows]

    def counts(self, unit: str) -> tuple[np.ndarray, np.ndarray]:
        """Errors (seeds, utterances) and reference units (utterances,)."""
        count, _ = UNITS[unit]
        pairs = np.array(
            [
                [count(r, h) for r, h in zip(self.references, texts, strict=True)]
                for texts in self.texts
            ]
        )
        return pairs[:, :, 0], pairs[0, :, 1]

    def rate(self, unit: str) -> float:
        """The corpus's error rate, over all seeds."""
        _, corpus_rate = UNITS[unit]
        hypotheses = [h for texts in self.texts for h in texts]
        return float(corpus_rate(self.references * len(self.texts), hypotheses))


def gather(
    profile: str, arms: Sequence[str], of_seeds: Sequence[int]
) -> dict[tuple[str, str, str, str], Hypotheses]:
    """Every arm's hypotheses by (arm, task, language, decoder); language "all" joins them."""
    gathered = {}
    for arm in arms:
        folder = RESULTS / profile / "evaluate"
        seeds = [results.read_csv(folder / f"{arm}-{seed}.csv") for seed in of_seeds]
        if any([r["id"] for r in rows] != [r["id"] for r in seeds[0]] for rows in seeds):
            raise UserError(f"{folder}: the seeds of {arm} differ in their utterances; dvc repro")
        for task in dict.fromkeys(row["task"] for row in seeds[0]):
            of_task = [[row for row in rows if row["task"] == task] for rows in seeds]
            languages = list(dict.fromkeys(row["language"] for row in of_task[0]))
            for language in (["all"] if len(languages) > 1 else []) + languages:
                chosen = [
                    [row for row in rows if language in ("all", row["language"])]
                    for rows in of_task
                ]
                for decoder in (name for name in DECODERS if name in seeds[0][0]):
                    gathered[arm, task, language, decoder] = Hypotheses(chosen, decoder)
    return gathered


def error_table(params: Params, gathered: dict) -> list[dict]:
    options = {"resamples": params.collect.resamples, "confidence": params.collect.confidence}
    rows = []
    for (arm, task, language, decoder), hypotheses in gathered.items():
        row = {"arm": arm, "task": task, "language": language, "decoding": decoder}
        row |= {"seeds": len(hypotheses.texts), "utterances": len(hypotheses.references)}
        for unit in UNITS:
            errors, units = hypotheses.counts(unit)
            if unit == "wer":
                row["words"] = int(units.sum())
            row[unit] = hypotheses.rate(unit)
            row[f"{unit}_low"], row[f"{unit}_high"] = rate_interval(errors, units, **options)
        rows.append(row)
    return rows


def pair_table(params: Params, gathered: dict) -> list[dict]:
    """The word error rate of every arm less a baseline's, on the same utterances.

    The baselines are Whisper, the plain arm of the arm's own model and, of a plain arm, the plain
    arm of Whisper with as many heads.
    """
    options = {"resamples": params.collect.resamples, "confidence": params.collect.confidence}
    rows = []
    for (arm, task, language, decoder), hypotheses in gathered.items():
        errors, units = hypotheses.counts("wer")
        for baseline in dict.fromkeys((BASELINE, params.arm(arm).model, *matched(params, arm))):
            if baseline == arm or (baseline, task, language, decoder) not in gathered:
                continue
            base, _ = gathered[baseline, task, language, decoder].counts("wer")
            low, high = difference_interval(errors, base, units, **options)
            change = errors.mean(axis=0).sum() - base.mean(axis=0).sum()
            rows.append(
                {"arm": arm, "baseline": baseline, "task": task, "language": language}
                | {"decoding": decoder, "difference": float(change) / int(units.sum())}
                | {"low": low, "high": high}
            )
    return rows


def matched(params: Params, name: str) -> list[str]:
    """The plain arms of Whisper with as many heads as the plain arm `name` of another model."""
    arm = params.arm(name)
    alike = dataclasses.replace(arm, model=BASELINE, focus_blocks=0)
    plain = not (arm.encoder or arm.decoder or arm.cross or arm.focus)
    return [other for other in params.runs.train.arms if plain and params.arm(other) == alike]


def arm_table(params: Params) -> list[dict]:
    folder = RESULTS / params.profile / "train"
    seed = params.runs.train.seeds[0]
    trained = {
        arm: results.read_json(folder / f"{arm}-{seed}.json") for arm in params.runs.train.arms
    }
    base = trained.get(BASELINE, trained[params.runs.train.arms[0]])["trained"]
    rows = []
    for arm in params.runs.train.arms:
        resolved = results.read_json(ARMS / f"{arm}.json")
        slots = {name: slot["mechanism"] for name, slot in resolved["slots"].items()}
        rows.append(
            {"arm": arm, "model": resolved["model"], "heads": resolved["heads"]}
            | {slot: slots.get(slot, "") for slot in ("focus", "encoder", "decoder", "cross")}
            | {
                "encoder_blocks": params.model.encoder_layers,
                "focus_blocks": resolved["sizes"].get("focus_blocks", 0),
                "decoder_blocks": resolved["sizes"]["n_text_layer"],
                "parameters": trained[arm]["parameters"],
                "trained": trained[arm]["trained"],  # without those that get no gradient
                "ratio": trained[arm]["trained"] / base,
            }
        )
    return rows


def variant_table(params: Params) -> list[dict]:
    """What every mechanism makes of one arm's weights: variants.COLUMNS, the start first."""
    vary = params.runs.vary
    if not vary.arms:
        return []
    names = [vary.start, *vary.arms]
    gathered = gather(params.profile, names, vary.seeds)
    words, digits = (
        {name: variants.Written(*gathered[name, *of].counts("wer")) for name in names}
        for of in ((task, params.tasks.language, "greedy") for task in ("words", "digits"))
    )
    folder, seed = RESULTS / params.profile / "train", vary.seeds[0]
    size = {name: results.read_json(folder / f"{name}-{seed}.json")["parameters"] for name in names}
    arms = [
        variants.about(results.read_json(ARMS / f"{name}.json"), size[name], size[vary.start])
        for name in names
    ]
    options = {"resamples": params.collect.resamples, "confidence": params.collect.confidence}
    for arm in arms[1:]:
        arm |= attended(params, arm["arm"], options)
    return variants.table(arms, vary.start, params.control("vary"), words, digits, **options)


def attended(params: Params, arm: str, options: dict) -> dict:
    """How sharp a varied arm attends, what it multiplies, and why if the first is not known."""
    folder, seeds = RESULTS / params.profile / "evaluate", params.runs.vary.seeds
    about = results.read_json(folder / f"{arm}-{seeds[0]}-sharpness.json")
    made = {f"multiplications_{length}": n for length, n in about["multiplications"].items()}
    rows = [results.read_csv(folder / f"{arm}-{seed}-sharpness.csv") for seed in seeds]
    each = {
        name: np.array([[float(row[name]) for row in of] for of in rows])
        for name in ("entropy", "support")
    }
    shown = {} if about["note"] else variants.sharpness(**each, **options)
    return made | {"note": about["note"]} | shown


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params = load()
    gathered = gather(params.profile, params.runs.train.arms, params.runs.train.seeds)
    errors, pairs, arms = (
        error_table(params, gathered), pair_table(params, gathered), arm_table(params)
    )  # fmt: skip
    folder = RESULTS / params.profile / "tables"
    results.write_csv(folder / "wer.csv", errors)
    results.write_csv(folder / "arms.csv", arms)
    if pairs:
        results.write_csv(folder / "pairs.csv", pairs)
    found = measured.table(params, folder.parent)
    results.write_csv(folder / "measures.csv", found, measured.COLUMNS)
    results.write_csv(folder / "variants.csv", variant_table(params), variants.COLUMNS)
    first = f"{params.runs.train.arms[0]}-{params.runs.train.seeds[0]}"
    trained = results.read_json(RESULTS / params.profile / "train" / f"{first}.json")
    summary = {
        "profile": params.profile,
        "hardware": trained["hardware"],
        "revision": trained["revision"],
        "arms": len(arms),
        "seeds": len(params.runs.train.seeds),
        "steps": params.train.steps,
        "parameters_min": min(row["parameters"] for row in arms),
        "parameters_max": max(row["parameters"] for row in arms),
        "parameters_spread": max(abs(row["ratio"] - 1) for row in arms),
    }
    for row in errors:
        name = f"{row['arm']}_{row['task']}_{row['decoding']}"
        if f"{name}_wer" not in summary:  # the first row is over all languages
            for unit in UNITS:
                for end in ("", "_low", "_high"):
                    summary[f"{name}_{unit}{end}"] = row[unit + end]
            summary[f"{row['task']}_utterances"] = row["utterances"]
            summary[f"{row['task']}_words"] = row["words"]
    for row in pairs:
        name = f"{row['arm']}_minus_{row['baseline']}_{row['task']}_{row['decoding']}"
        if name not in summary:
            summary[name] = row["difference"]
            summary |= {f"{name}_low": row["low"], f"{name}_high": row["high"]}
    results.write_json(RESULTS / params.profile / "summary.json", summary)


if __name__ == "__main__":
    run(main)
