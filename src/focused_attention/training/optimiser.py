"""How it is minimised: AdamW in a few large operations, with warm-up and half a cosine."""

import math

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from focused_attention.models import SpeechModel
from focused_attention.params import Train


def learning_rate(step: int, params: Train) -> float:
    """Linear warm-up, a plateau, and half a cosine down to zero; `step` counts from 1."""
    if step <= params.warmup:
        return params.learning_rate * step / params.warmup
    falling = params.decay * (params.steps - params.warmup)
    progress = max(0.0, 1 - (params.steps - step) / max(1.0, falling))
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class Part:
    """Parameters that got their first gradient in the same step, in one piece of memory."""

    def __init__(self, named: dict[str, nn.Parameter], weight_decay: float):
        self.named, self.weight_decay = named, weight_decay
        self.flat = torch.cat([p.detach().reshape(-1) for p in named.values()])
        self.mean, self.square = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.steps = torch.zeros((), device=self.flat.device)
        for name, view in self.views(self.flat).items():
            named[name].data = view

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """What of `flat` is each parameter's, in its shape."""
        pieces = flat.split([p.numel() for p in self.named.values()])
        pairs = zip(self.named.items(), pieces, strict=True)
        return {name: piece.view_as(p) for (name, p), piece in pairs}

    def gradient(self) -> Tensor:
        """Takes the parameters' gradients, zero where there is none this time, as one vector."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.named.values()]
        for p in self.named.values():
            p.grad = None
        return torch.cat([grad.reshape(-1) for grad in grads])


class AdamW:
    """AdamW (https://arxiv.org/abs/1711.05101); vectors and embeddings are not decayed.

    A parameter takes part from its first gradient on, its memory then a piece of a larger one. The
    arithmetic is PyTorch's; the class around it, which loads its compiler, is not needed.
    """

    def __init__(self, model: SpeechModel, params: Train):
        self.params = params
        self.waiting = dict(model.named_parameters())  # those without a gradient until now
        self.parts: list[Part] = []

    def add(self, named: dict[str, nn.Parameter]) -> None:
        """Let these take part from now on."""
        for name in named:
            del self.waiting[name]
        decayed = {n: p for n, p in named.items() if p.ndim > 1 and "embedding" not in n}
        others = {n: p for n, p in named.items() if n not in decayed}
        for some, weight_decay in ((decayed, self.params.weight_decay), (others, 0.0)):
            if some:
                self.parts.append(Part(some, weight_decay))

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the parameters by their gradients, which are gone afterwards."""
        self.add({name: p for name, p in self.waiting.items() if p.grad is not None})
        beta1, beta2 = self.params.betas
        for part in self.parts:
            adamw(
                [part.flat], [part.gradient()], [part.mean], [part.square], [], [part.steps],
                fused=True, amsgrad=False, beta1=beta1, beta2=beta2, lr=rate,
                weight_decay=part.weight_decay, eps=1e-8, maximize=False,
            )  # fmt: skip

    @property
    def trained(self) -> int:
        """Numbers in the parameters that ever got a gradient."""
        return sum(part.flat.numel() for part in self.parts)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, by parameter."""
        found = {}
        for part in self.parts:
            for key, flat in (("mean", part.mean), ("square", part.square)):
                found |= {f"{name}.{key}": view for name, view in part.views(flat).items()}
            found |= {f"{name}.steps": part.steps for name in part.named}
        return found

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`: the parts are those that it was taken from."""
        steps = {n: float(state[f"{n}.steps"]) for n in self.waiting if f"{n}.steps" in state}
        for since in sorted(set(steps.values()), reverse=True):
            self.add({n: self.waiting[n] for n, value in steps.items() if value == since})
        for part in self.parts:
            for key, flat in (("mean", part.mean), ("square", part.square)):
                for name, view in part.views(flat).items():
                    view.copy_(state[f"{name}.{key}"])
            part.steps.fill_(steps[next(iter(part.named))])
