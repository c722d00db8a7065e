"""The state of an unfinished run: model, optimiser, random numbers and history in one file."""

import json
from pathlib import Path

import torch

from focused_attention.models import SpeechModel
from focused_attention.runs import weights
from focused_attention.training.optimiser import AdamW


def save(
    path: Path,
    fingerprint: str,
    step: int,
    model: SpeechModel,
    optim: AdamW,
    history: dict[str, list],
) -> None:
    """Write everything a resumed run needs."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"optimiser.{name}": tensor for name, tensor in optim.state().items()}
    tensors["rng"] = torch.get_rng_state()
    about = {"fingerprint": fingerprint, "step": step, "history": history}
    weights.save(path, tensors, json.dumps(about))


def restore(
    path: Path, fingerprint: str, model: SpeechModel, optim: AdamW
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
    of = {part: {} for part in ("model", "optimiser", "rng")}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        of[part][rest] = tensor
    model.load_state_dict(of["model"])
    optim.restore(of["optimiser"])
    torch.set_rng_state(tensors["rng"])
    return about["step"], about["history"]
