"""The temperatures that heads have learned, as a tidy table."""

import math
from collections.abc import Mapping

import numpy as np

COLUMNS = ("arm", "seed", "slot", "layer", "head", "temperature", "slope")


def temperatures(arm: str, seed: int, weights: Mapping[str, np.ndarray]) -> list[dict]:
    """The temperatures that a run learned, exp(level) of every head, from its weights by name.

    Empty where none are learned. `slope` is what the span adds to the level; 0 where none is
    learned. The span counts from where it adds nothing and the temperature is what stands here: a
    predicted one as its share of the longest, from a half; a given one, which `scheduled` attention
    has, as the log of the keys that are seen, from that of its `centre`. Where queries have their
    own, it is the last's, which all later ones share.
    """
    rows = []
    for name in sorted(weights):
        part, _, index, attention, *_ = (*name.split("."), "", "", "")
        if not name.endswith(".level"):
            continue
        slot = "cross" if attention == "cross_attn" else part
        level = weights[name].reshape(len(weights[name]), -1)[:, -1]
        slope = weights.get(name.removesuffix("level") + "slope", np.zeros_like(level))
        rows += [
            {"arm": arm, "seed": seed, "slot": slot, "layer": int(index), "head": head}
            | {"temperature": math.exp(level[head]), "slope": float(slope[head])}
            for head in range(len(level))
        ]
    return rows
