"""The training loop: AdamW, warm-up and cosine, clipping, joint CTC, resumable to the byte."""

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.decoding.transcribe import transcribe
from focused_attention.errors import UserError
from focused_attention.measures import spans
from focused_attention.measures.error_rates import error_rate, word_errors
from focused_attention.models import SpeechModel
from focused_attention.params import Train
from focused_attention.runs import device
from focused_attention.tasks.batches import Batch, bucketed
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.utterances import Utterance
from focused_attention.training import state
from focused_attention.training.data import prefetched

Probe = Callable[[SpeechModel, Batch], dict[str, float]]  # measures a batch


@dataclass
class History:
    """What the results keep of a run: nothing that differs between two runs on one machine."""

    steps: list[dict] = field(default_factory=list)
    dev: list[dict] = field(default_factory=list)
    trained: int = 0  # parameters that ever got a gradient


def losses(model: SpeechModel, batch: Batch, params: Train) -> dict[str, Tensor]:
    """The loss of a batch and its parts: cross-entropy of the text, CTC, auxiliary losses."""
    output = model(batch.features, batch.tokens, batch.frames)
    parts = {
        "ce": F.cross_entropy(
            output.logits.float().transpose(1, 2),
            batch.targets,
            ignore_index=-100,
            label_smoothing=params.label_smoothing if model.training else 0.0,
        )
    }
    total = parts["ce"]
    if output.ctc_logits is not None:
        logits = output.ctc_logits.float()
        positions = model.encoder.positions(batch.frames)
        parts["ctc"] = F.ctc_loss(
            logits.log_softmax(-1).transpose(0, 1),  # (S, B, V + 1)
            batch.text,
            positions,
            batch.text_lengths,
            blank=logits.shape[-1] - 1,
            zero_infinity=True,
        )
        total = total + params.ctc * parts["ctc"]
    for name, value in output.losses.items():
        parts[name] = value
        total = total + value
    return {"loss": total, **parts}


def learning_rate(step: int, params: Train) -> float:
    """Linear warm-up, then half a cosine down to zero; `step` counts from 1."""
    if step <= params.warmup:
        return params.learning_rate * step / params.warmup
    progress = (step - params.warmup) / max(1, params.steps - params.warmup)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def optimiser(model: SpeechModel, params: Train) -> torch.optim.AdamW:
    """AdamW (https://arxiv.org/abs/1711.05101); vectors and embeddings are not decayed."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    chosen = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return torch.optim.AdamW(
        [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        lr=params.learning_rate,
        betas=tuple(params.betas),
        weight_decay=params.weight_decay,
        fused=True,
    )


def train(
    model: SpeechModel,
    composer: Composer,
    params: Train,
    *,
    plans: Iterator[list[Utterance]],
    dev: dict[str, list[Utterance]],
    hardware: torch.device,
    path: Path,
    fingerprint: str,
    log: Path,
    label: str,
    probe: Probe | None = None,
) -> History:
    """Train `model` in place and return its history.

    `plans` are the training batches from the first step on, `dev` the dev utterances by task;
    `probe` measures more of the dev batches than `assess` does.

    The state is saved at `path` every `checkpoint_every` steps and taken up again if it belongs to
    the same `fingerprint`; a run that was killed ends with the same bytes as one that was not. The
    step log at `log` (JSON lines) holds the timings, which no result does.

    Raises UserError if the disk is full or the loss is not finite.
    """
    if params.checkpoint_every % params.log_every or params.dev_every % params.log_every:
        raise UserError(
            "params.yaml: checkpoint_every and dev_every must be multiples of log_every"
        )
    model.to(hardware).train()
    optim = optimiser(model, params)
    history, done = History(), state.restore(path, fingerprint, model, optim)
    if done:
        history = History(**json.loads(done["history"]))
    first = int(done["step"]) + 1 if done else 1
    budget = params.batch_seconds / composer.frame
    assessed = {
        task: [composer.batch(group) for group in bucketed(utterances, budget)]
        for task, utterances in dev.items()
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a" if done else "w", encoding="utf-8") as lines:
        bar = progress(params.steps, first - 1, label)
        window: list[dict] = []
        batches = prefetched(islice(plans, first - 1, None), composer.batch)
        tick = time.perf_counter()
        for step in range(first, params.steps + 1):
            batch = next(batches).to(hardware)
            waited = time.perf_counter() - tick
            rate = learning_rate(step, params)
            for group in optim.param_groups:
                group["lr"] = rate
            logged = step % params.log_every == 0 or step == params.steps
            watching = spans.watch(model) if logged else nullcontext([])
            with watching as heads, device.autocast(hardware):
                parts = losses(model, batch, params)
            parts["loss"].backward()
            focused = focus(model, heads)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), params.clip)
            optim.step()
            optim.zero_grad(set_to_none=True)
            row = {name: float(value.detach()) for name, value in parts.items()}
            if not math.isfinite(row["loss"]):
                raise UserError(
                    f"{label}: the loss is {row['loss']} at step {step}; lower learning_rate "
                    "or clip in params.yaml"
                )
            row |= {"lr": rate, "grad_norm": float(norm)}
            window.append(row)
            elapsed, tick = time.perf_counter() - tick, time.perf_counter()
            seconds = float(batch.frames.sum()) * composer.frame
            timing = {"ms": 1e3 * elapsed, "wait_ms": 1e3 * waited, "rtf": elapsed / seconds}
            lines.write(json.dumps({"step": step, **row, **focused, **timing}) + "\n")
            bar.update(1)
            if logged:
                means = {name: mean([w[name] for w in window]) for name in row}
                history.steps.append({"step": step, **means, **focused})
                bar.set_postfix(loss=f"{means['loss']:.3f}")
                window = []
            if step % params.dev_every == 0 or step == params.steps:
                for task, batches_of_task in assessed.items():
                    history.dev.append({"step": step, "task": task} | assess(
                        model, composer, batches_of_task, params, hardware, probe
                    ))  # fmt: skip
                tick = time.perf_counter()
            if step % params.checkpoint_every == 0 and step < params.steps:
                lines.flush()
                kept = {"steps": history.steps, "dev": history.dev}
                state.save(path, fingerprint, step, model, optim, kept)
                tick = time.perf_counter()
        batches.close()
        bar.close()
    history.trained = sum(p.numel() for p in optim.state)
    return history


def focus(model: SpeechModel, heads: list[dict]) -> dict[str, float]:
    """Mean span (encoder positions) and temperature, and the gradient norm of their predictors.

    Empty where nothing was watched or the model has no focused attention. Called after backward.
    """
    if not heads:
        return {}
    norms = spans.predictor_gradient_norms(model)
    return {
        "span": mean([head["span"] for head in heads]),
        "temperature": mean([head["temperature"] for head in heads]),
        "predictor_grad_norm": math.hypot(*norms.values()),
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@torch.no_grad()
def assess(
    model: SpeechModel,
    composer: Composer,
    batches: list[Batch],
    params: Train,
    hardware: torch.device,
    probe: Probe | None = None,
) -> dict[str, float]:
    """What a model makes of dev batches: cross-entropy without smoothing, and by greedy decoding
    the word error rate and the share of utterances whose first word is right.

    What `probe` measures is averaged over the utterances.
    """
    model.eval()
    total, tokens, counts, first, probed = 0.0, 0, [], [], Counter()
    for batch in batches:
        batch = batch.to(hardware)
        with device.autocast(hardware):
            ce = losses(model, batch, params)["ce"]
            for name, value in (probe(model, batch) if probe else {}).items():
                probed[name] += value * len(batch.utterances)
        asked = int((batch.targets != -100).sum())
        total, tokens = total + float(ce) * asked, tokens + asked
        with device.autocast(hardware):
            hypotheses = transcribe(model, composer, batch)
        counts += [
            word_errors(u.text, h) for u, h in zip(batch.utterances, hypotheses, strict=True)
        ]
        first += [
            u.text.split()[:1] == h.split()[:1]
            for u, h in zip(batch.utterances, hypotheses, strict=True)
        ]
    model.train()
    return {
        "loss": total / max(1, tokens),
        "wer": error_rate(counts),
        "first_word": mean(first),
    } | {name: value / len(first) for name, value in probed.items()}


def progress(total: int, initial: int, label: str):
    """A progress bar on a terminal; silent elsewhere and where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return Silent()
    return tqdm(
        total=total,
        initial=initial,
        desc=label,
        unit="step",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    )


class Silent:
    """A progress bar that shows nothing."""

    def update(self, n: int) -> None: ...

    def set_postfix(self, **values: str) -> None: ...

    def close(self) -> None: ...
