"""Plain Echo in small, the arms that go on from it, and something to hear."""

from pathlib import Path

import pytest
import torch

from focused_attention import models
from focused_attention.params import load
from focused_attention.runs.arm import resolve

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
SIZES = {f"n_{of}_{what}": n for of in ("audio", "text")
         for what, n in (("ctx", 300), ("state", 32), ("head", 8), ("layer", 1))}  # fmt: skip


def build(name, seed=0, **slots):
    """The untrained model of an arm, with other `slots` if they are given."""
    torch.manual_seed(seed)
    slots = resolve(PARAMS, name)["slots"] | slots
    return models.build("echo", n_mels=8, n_vocab=11, **SIZES, focus_blocks=1, **slots).eval()


@pytest.fixture(scope="module")
def echo():
    return build("echo")


@pytest.fixture(scope="module")
def heard():
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(2, 8, 500, generator=generator)  # 250 positions: 64 either side is a window
    tokens = torch.randint(11, (2, 5), generator=generator)
    return mel, tokens, torch.tensor([500, 300])
