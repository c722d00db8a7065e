"""AdamW in large pieces of memory against PyTorch's, bit by bit, also where gradients come late."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from focused_attention.training.optimiser import AdamW, learning_rate
from tests.training.test_loop import PARAMS


class Model(nn.Module):
    """Some decayed, some not; `late` is used from the third step on, `never` is not."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(5, 7)
        self.first, self.second = nn.Linear(7, 13), nn.Linear(13, 3)
        self.late, self.never = nn.Linear(7, 3), nn.Linear(7, 3)

    def forward(self, step):
        x = self.embedding(torch.tensor([0, 1, step % 5]))
        y = self.second(self.first(x).relu())
        return y + self.late(x) if step >= 3 else y


def theirs(model):
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "embedding" not in n]
    others = [p for p in model.parameters() if not any(p is q for q in decayed)]
    return torch.optim.AdamW(
        [{"params": decayed}, {"params": others, "weight_decay": 0.0}], lr=1.0,
        betas=tuple(PARAMS.betas), weight_decay=PARAMS.weight_decay, fused=True,
    )  # fmt: skip


def stepped(model, optim, steps):
    """Our optimiser's rounds; the loss' gradients differ from step to step."""
    for step in steps:
        model(step).square().sum().backward()
        optim.step(1e-2 / step)


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
    return [name for (name, a), b in pairs if not torch.equal(a, b)] == []


def test_the_parameters_are_pytorchs_to_the_bit():
    ours, reference = Model(), Model()
    other = theirs(reference)
    for step in range(1, 8):
        reference(step).square().sum().backward()
        for group in other.param_groups:
            group["lr"] = 1e-2 / step
        other.step()
        other.zero_grad()
    optim = AdamW(ours, PARAMS)
    stepped(ours, optim, range(1, 8))
    assert same(ours, reference)
    assert all(p.grad is None for p in ours.parameters())
    assert torch.equal(ours.never.weight, Model().never.weight)
    unused = sum(p.numel() for p in ours.never.parameters())
    assert optim.trained == sum(p.numel() for p in ours.parameters()) - unused


@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_one_goes_on_to_the_bit(stop):
    whole, first = Model(), Model()
    stepped(whole, AdamW(whole, PARAMS), range(1, 8))
    optim = AdamW(first, PARAMS)
    stepped(first, optim, range(1, stop + 1))
    second = Model()
    second.load_state_dict({name: t.clone() for name, t in first.state_dict().items()})
    resumed = AdamW(second, PARAMS)
    resumed.restore({name: t.clone() for name, t in optim.state().items()})
    assert resumed.trained == optim.trained
    assert [[*p.named] for p in resumed.parts] == [[*p.named] for p in optim.parts]
    stepped(second, resumed, range(stop + 1, 8))
    assert same(second, whole)


def test_a_gradient_that_is_missing_for_once_counts_as_zero():
    model = Model()
    optim = AdamW(model, PARAMS)
    stepped(model, optim, [3, 4])
    before = model.late.weight.clone()
    stepped(model, optim, [1])  # without `late`
    assert not torch.equal(model.late.weight, before)  # by its mean of the gradients until now
    assert {part.steps.item() for part in optim.parts} == {3.0}


def test_the_compiler_is_not_loaded_to_train():

    code = (
        "import sys, torch\n"
        "from tests.training.test_optimiser import AdamW, Model, PARAMS, stepped\n"
        "model = Model()\n"
        "stepped(model, AdamW(model, PARAMS), [1, 2])\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("decay", [0.3, 1.0])
def test_the_rate_rises_stays_and_falls_over_its_share_of_the_steps(decay):
    params = replace(PARAMS, steps=110, warmup=10, learning_rate=2.0, decay=decay)
    rates = [learning_rate(step, params) for step in range(1, 111)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    level = 110 - round(100 * decay)
    assert rates[9:level] == [2.0] * (level - 9)
    fallen = [1 + math.cos(math.pi * step / (110 - level)) for step in range(1, 111 - level)]
    assert rates[level:] == pytest.approx(fallen, abs=1e-9)
