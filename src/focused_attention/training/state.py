"""The state of an unfinished run: model, optimiser, random numbers and history in one file."""

import json
from pathlib import Path

import torch
from torch import Tensor

from focused_attention.models import SpeechModel
from focused_attention.runs import weights


def save(
    path: Path,
    fingerprint: str,
    step: int,
    model: SpeechModel,
    optim: torch.optim.AdamW,
    history: dict[str, list],
) -> None:
    """Write everything a resumed run needs."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, values in optim.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
    tensors["rng"] = torch.get_rng_state()
    about = {"fingerprint": fingerprint, "step": step, "history": history}
    weights.save(path, tensors, json.dumps(about))


def restore(
    path: Path, fingerprint: str, model: SpeechModel, optim: torch.optim.AdamW
) -> tuple[int, dict[str, list]]:
    """Load the state at `path` if it belongs to this run: the step and the history it had come to.

    Else the model and the optimiser stay as they are: step 0 and no history.
    """
    if not path.exists():
        return 0, {}
    tensors, text = weights.load(path)
    about = json.loads(text or "{}")
    if about.get("fingerprint") != fingerprint:
        return 0, {}
    model.load_state_dict({n[6:]: t for n, t in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    optim.load_state_dict({"state": state, "param_groups": optim.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["rng"])
    return about["step"], about["history"]
