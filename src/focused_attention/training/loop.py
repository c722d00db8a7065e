"""The training loop: AdamW, warm-up and cosine, clipping, joint CTC, resumable to the byte."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import islice
from pathlib import Path

import torch

from focused_attention.errors import UserError
from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.regularisers import Objective
from focused_attention.runs import device
from focused_attention.tasks.batches import Batch, bucketed
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.utterances import Utterance
from focused_attention.training import state
from focused_attention.training.data import prefetched
from focused_attention.training.journal import History, Journal, progress
from focused_attention.training.objective import losses
from focused_attention.training.optimiser import AdamW, learning_rate

# What is measured while training is handed in: the loop knows neither tasks nor mechanisms by name.
Seen = dict[str, float]
Watch = Callable[[SpeechModel], AbstractContextManager[Callable[[], Seen]]]  # of a training step
Assess = Callable[[SpeechModel, Composer, list[Batch], Train, torch.device], Seen]  # of dev batches


def train(
    model: SpeechModel,
    composer: Composer,
    params: Train,
    *,
    plans: Iterator[list[Utterance]],
    dev: dict[str, list[Utterance]],
    assess: Assess,
    hardware: torch.device,
    path: Path,
    fingerprint: str,
    log: Path,
    label: str,
    watch: Watch | None = None,
    objective: Objective = losses,
) -> History:
    """Train `model` in place and return its history.

    `plans` are the training batches from the first step on, `dev` the dev utterances by task, which
    `assess` measures; `watch` surrounds the forward of every logged step, and what it yields is
    asked after backward. What the `objective` calls "loss" is minimised.

    The state is saved at `path` every `checkpoint_every` steps and taken up again if it belongs to
    the same `fingerprint`; a run that was killed ends with the same bytes as one that was not. The
    step log at `log` (JSON lines) holds the timings, which no result does. Raises UserError if the
    disk is full or the loss is not finite.
    """
    check(params)
    model.to(hardware).train()
    optim = AdamW(model, params)
    done, kept = state.restore(path, fingerprint, model, optim)
    history, budget = History(**kept), params.batch_seconds / composer.frame
    groups = {task: [composer.batch(g) for g in bucketed(us, budget)] for task, us in dev.items()}
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a" if done else "w", encoding="utf-8") as lines,
        closing(prefetched(islice(plans, done, None), composer.batch)) as batches,
        closing(progress(params.steps, done, label)) as bar,
    ):  # also where training fails: the thread that renders ends
        journal = Journal(history, lines, bar)
        for step in range(done + 1, params.steps + 1):
            batch = journal.awaited(next(batches).to(hardware))
            last = step == params.steps
            logged = last or step % params.log_every == 0
            watching = watch if logged else None
            row, seen = update(model, optim, objective, batch, params, step, watching)
            require_finite(row["loss"], step, label)
            journal.note(step, row, seen, float(batch.frames.sum()) * composer.frame, logged)
            if last or step % params.dev_every == 0:
                for task, group in groups.items():
                    found = assess(model, composer, group, params, hardware)
                    history.dev.append({"step": step, "task": task} | found)
                journal.resume()
            if step % params.checkpoint_every == 0 and not last:
                lines.flush()
                kept = {"steps": history.steps, "dev": history.dev}
                state.save(path, fingerprint, step, model, optim, kept)
                journal.resume()
    history.trained = optim.trained
    return history


def update(
    model: SpeechModel,
    optim: AdamW,
    objective: Objective,
    batch: Batch,
    params: Train,
    step: int,
    watch: Watch | None,
) -> tuple[Seen, Seen]:
    """One step of the optimiser: losses, rate and gradient norm, and what `watch` saw."""
    rate = learning_rate(step, params)
    watching = watch(model) if watch else nullcontext(dict)
    with watching as told, device.autocast(batch.features.device):
        parts = objective(model, batch, params)
    parts["loss"].backward()
    seen = told()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip)
    optim.step(rate)
    row = {name: float(value.detach()) for name, value in parts.items()}
    return row | {"lr": rate, "grad_norm": float(norm)}, seen


def check(params: Train) -> None:
    """Raises UserError for intervals that do not fit."""
    if params.checkpoint_every % params.log_every or params.dev_every % params.log_every:
        raise UserError(
            "params.yaml: checkpoint_every and dev_every must be multiples of log_every"
        )


def require_finite(loss: float, step: int, label: str) -> None:
    """Raises UserError for a loss that is not finite: nothing can be learnt from it."""
    if not math.isfinite(loss):
        raise UserError(
            f"{label}: the loss is {loss} at step {step}; lower learning_rate "
            "or clip in params.yaml"
        )
