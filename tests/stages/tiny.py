"""A folder in which every stage of a study runs in a second: a store and parameters."""

from pathlib import Path

import yaml

from focused_attention.schema import overlay
from tests.conftest import NEEDLES, random_store

ROOT = Path(__file__).parents[2]
COUNTS = {"utterances": 6, "batch_seconds": 10.0}
SIZES = {"words": [0, 3], **COUNTS}
HEATS = {"temperatures": [0.5, 1.0, 2.0], "others": [1.0]}
NATIVE = {
    "arithmetic": "native"
}  # the canonical one comes too late where others have computed before
SHORT = NATIVE | {
    "steps": 4, "batch_seconds": 6.0, "warmup": 2,
    "log_every": 2, "dev_every": 4, "dev_utterances": 3, "checkpoint_every": 4,
}  # fmt: skip
SMALL = {
    "profile": "tiny",
    "model": {"width": 16, "encoder_layers": 2, "decoder_layers": 1},
    "tasks": {"max_seconds": 2.0},
    "haystack": {
        "reading": 1, "strings": [1, 3], "pairs": [1, 2], "lone_digits": [0, 1],
        "lone_keys": [0, 1], "words": [0, 2], "digits": [1, 2], "prompts": [0, 1],
    },
    "runs": {
        "train": {"arms": ["tiny"]}, "vary": {"start": "tiny", "arms": [], "seeds": [1]},
        "seek": {"arms": ["tiny"], "seeds": [1]},
        "adapt": {"start": "tiny", "arms": [], "seeds": [1]},
        "swept": ["tiny"], "encoder": ["tiny"],
    },
    "train": NATIVE,
    "vary": SHORT,
    "adapt": NATIVE
    | {
        "words": [0, 3], "prompts": [0, 2], "steps": 4, "batch_seconds": 12.0, "warmup": 2,
        "curriculum": 2, "log_every": 2, "dev_every": 4, "dev_utterances": 3, "checkpoint_every": 4,
    },
    "seek": SHORT,
    "measure": {
        "recall": SIZES | HEATS | {"pairs": 2, "digits": 2, "keys": 1},
        "spot": COUNTS | HEATS | {"digits": 2, "prompts": [0, 2]},
        "entropy": SIZES | {"temperatures": [1.0, 1e6]},
        "prune": COUNTS
        | {"temperatures": [1.0], "words": {"cross": [0, 3], "encoder": [0]}, "top_k": [1, 1000]},
        "swapped": SIZES | {"fillers": ["words"]},
        "techniques": SIZES | {"prompts": [0]},
    },
    "arms": {"tiny": {"model": "echo", "heads": 2, "focus_blocks": 1}},
}  # fmt: skip


def prepared(folder: Path, over: dict | None = None) -> Path:
    """`folder` with a feature store and params.yaml, whose profile is `SMALL` with `over` on it."""
    prompts = [f"{a} {b} please" for a in ("press", "say", "hold") for b in ("it", "on", "this")]
    random_store(folder / "features", [*sorted(NEEDLES), "star", "pound", *prompts])
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params = overlay(overlay(params, SMALL), over or {})
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder
