"""A repository root in miniature, with tables in the results' formats and made-up numbers."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from focused_attention.metrics import traps
from tests.stages.made_up import write_findings, write_judged

ROOT = Path(__file__).parents[2]
PROFILE = "pilot"
HARDWARE = "a made-up processor, 2 threads"
ARMS = {"whisper": 16, "echo": 8, "whisper-8": 8, "echo-16": 16}
FOCUSED = {"echo-16": 0.02}  # arms whose step log has spans, and the norm of their gradient
LENGTHS = (500, 1500, 3000, 6000, 12000)
TASKS = ("digits", "words", "transcribe")
PLAIN = {"whisper": "whisper", "echo": "rotary"}  # the mechanism of a model's own arms


def write_results(root: Path) -> None:
    """Made-up results of every kind that a notebook or the paper reads."""
    rng = np.random.default_rng(0)
    folder = root / "results" / PROFILE
    for part in ("train", "evaluate", "tables"):
        (folder / part).mkdir(parents=True)
    hardware = HARDWARE
    rates = []
    for arm in ARMS:
        step = np.arange(25, 1501, 25)
        loss = 6 * np.exp(-step / 300) + 0.4 + 0.05 * rng.standard_normal(len(step))
        train = pd.DataFrame({"step": step, "loss": loss, "ce": loss, "ctc": loss, "lr": 1e-3})
        train["grad_norm"] = 1.0
        if arm in FOCUSED:
            train = train.assign(span=8.0, temperature=0.5, predictor_grad_norm=FOCUSED[arm])
        train.to_csv(folder / "train" / f"{arm}-1.csv", index=False)
        dev = pd.DataFrame(
            [
                {"step": s, "task": t, "loss": 5 * np.exp(-s / 400), "wer": np.exp(-s / 300)}
                for s in range(250, 1501, 250)
                for t in TASKS
            ]
        )
        dev.to_csv(folder / "train" / f"{arm}-1-dev.csv", index=False)
        about = {"profile": PROFILE, "hardware": hardware, "arm": arm, "seed": 1, "steps": 1500}
        (folder / "train" / f"{arm}-1.json").write_text(json.dumps(about | {"parameters": 700000}))
        for index, task in enumerate(TASKS):
            for decoding in ("greedy", "beam"):
                wer = 0.02 + 0.4 * index + 0.1 * rng.random()
                rates.append(
                    {"arm": arm, "task": task, "language": "en", "decoding": decoding, "seeds": 1}
                    | {"utterances": 300, "words": 900}
                    | {"wer": wer, "wer_low": wer * 0.9, "wer_high": wer * 1.1}
                    | {"cer": wer / 2, "cer_low": wer / 2.2, "cer_high": wer / 1.8}
                )
    tables = folder / "tables"
    pd.DataFrame(rates).to_csv(tables / "wer.csv", index=False)
    pd.DataFrame(
        [
            {"arm": arm, "baseline": "whisper", "task": task, "language": "en"}
            | {"decoding": decoding, "difference": -0.01, "low": -0.02, "high": 0.005}
            for arm in ARMS
            if arm != "whisper"
            for task in TASKS
            for decoding in ("greedy", "beam")
        ]
    ).to_csv(tables / "pairs.csv", index=False)
    pd.DataFrame(
        [
            {"arm": arm, "model": arm.split("-")[0], "heads": heads}
            | dict.fromkeys(("encoder", "decoder"), PLAIN[arm.split("-")[0]])
            | {"cross": "whisper"}
            | {"focus": "", "parameters": 700000 + heads, "ratio": 1.0}
            for arm, heads in ARMS.items()
        ]
    ).to_csv(tables / "arms.csv", index=False)

    part = {"recordings": 56, "trimmed_minutes": 3.1, "words": 300, "texts": 50}
    corpus = {"corpus": "asterisk", "language": "en", "licence": "CC-BY-SA-3.0", "speakers": 1}
    corpus |= {**part, "recordings": 568, "minutes": 26.2, "with_text": 551, "translated": 0}
    corpora = [corpus | {"splits": dict.fromkeys(("train", "dev", "test"), part)}]
    (folder / "data.json").write_text(json.dumps({"corpora": corpora, "vocabulary": 327}))
    (folder / "summary.json").write_text(
        json.dumps({"hardware": hardware, "parameters_spread": 0.001})
    )
    operations = ("forward", "five-second clip", "greedy decoding", "log-mel", "training step")
    benchmark = [
        {"name": name, "ours": 1.0, "peer": 2.0, "peer_version": "1", "unit": "s"}
        | {"ratio": 2.0, "target": ">= 1.5", "holds": True}
        for name in operations
    ]
    (root / "results" / "benchmark-speech.json").write_text(
        json.dumps(
            {"hardware": hardware, "rows": benchmark}
            | {"arms": [{"arm": arm, "training_ms": 70.0} for arm in ARMS]}
        )
    )
    attention = [
        *({**row, "unit": "ms"} for row in benchmark[:3]),
        {"name": "growth of the time", "ours": 1.02, "peer": None, "peer_version": "", "unit": ""}
        | {"ratio": 1.02, "target": "<= 1.1", "holds": True},
    ]
    (root / "results" / "benchmark-attention.json").write_text(
        json.dumps({"hardware": hardware, "rows": attention, "timings": timings()})
    )
    (folder / "traps.json").write_text(json.dumps({"traps": traps.measure()}))
    write_judged(folder, hardware)
    write_findings(root / "results" / "first", hardware)


def timings() -> list[dict]:
    """Made-up times and memory: plain attention grows with the square, focused with the length."""
    powers = {
        "whisper": 2, "rotary": 2, "focused": 1, "hybrid": 2, "local": 1,
        "adaptive_span_published": 1.1, "hybrid_published": 2,
    }  # fmt: skip
    return [
        {"mechanism": name, "length": T, "forward_ms": 5 * (T / 500) ** power}
        | {"forward_floor_ms": (T / 500) ** power, "both_ms": 15 * (T / 500) ** power}
        | {"both_floor_ms": 3 * (T / 500) ** power, "gflop": 1.0}
        | {"peak_mib": 20 * (T / 500) ** power, "rounds": 7}
        | {"ratio": (T / 500) ** (power - 2), "ratio_low": 0.9 * (T / 500) ** (power - 2)}
        | {"ratio_high": 1.2 * (T / 500) ** (power - 2)}
        for T in LENGTHS
        for name, power in powers.items()
    ]


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A temporary repository root with made-up results, made the current folder.

    What is shown are the pilot's own findings.
    """
    write_results(tmp_path)
    text = (ROOT / "params.yaml").read_text("utf-8")
    (tmp_path / "params.yaml").write_text(
        re.sub(r"(?m)^findings: \w+", "findings: pilot", text), "utf-8"
    )
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path
