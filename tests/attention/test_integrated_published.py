"""The published integrated module: equal to its formulas, with every trap demonstrated."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import IntegratedAttention
from focused_attention.attention.modules import integrated as source
from focused_attention.attention.modules.adaptive_update import (
    AdaptiveUpdateAttention,
    BaseAttention,
)
from tests.reference import integrated
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_dist": 5, "max_span": 9, "win_size": 9, "action": 9},
}
SIZES = {"max_dist": 512, "win_size": 8, "max_span": 12, "temp_scale": 0.01}


def module(epsilon=0.1, seed=0, dims=16, **settings):
    torch.manual_seed(seed)
    made = IntegratedAttention(0, dims, 2, **SIZES | settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        made.span_pred.linear.bias.fill_(1.0)
    made.refiner.epsilon = epsilon
    return made


def told(made, action):
    """The module with a learner that always takes one action."""
    made.refiner.choose_action = lambda state: action
    return made


def batches(n, B=2, T=19, D=16):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(B, T, D, generator=generator) for _ in range(n)]


def compare(made, settings, calls, epsilon, **options):
    """Forward, every gradient and what is learned, in double precision: ten rounds amplify."""
    np.random.seed(5)
    random, table = np.random.RandomState(5), {}
    made.double()
    parameters = dict(made.named_parameters())
    for x in calls:
        x = x.double().requires_grad_()
        out = made(x)
        options = {"epsilon": epsilon} | options
        expected = integrated.published(made, x, SIZES | settings, table, random, **options)
        assert_same(out, expected, {"x": x, **parameters})
        assert made.refiner.R.keys() == table.keys()
        for key, value in table.items():
            assert made.refiner.R[key] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("T", "epsilon", "settings"),
    [
        (19, 0.1, {}),
        (19, 1.0, {}),
        (1, 1.0, {}),
        (13, 1.0, {"win_size": 5, "max_span": 30}),
        (9, 1.0, {"win_size": 256, "max_span": 384}),
    ],
    ids=str,
)
def test_equals_the_formulas_call_by_call(T, epsilon, settings):
    calls = batches(2, T=T)
    compare(module(epsilon, **settings), settings, [*calls, calls[0]], epsilon)


def test_without_fused_attention_it_equals_other_formulas(monkeypatch):
    monkeypatch.setattr(BaseAttention, "use_sdpa", False)
    settings = {"temp_scale": 0.5}
    compare(module(1.0, **settings), settings, batches(2, T=11), 1.0, fused=False)


def test_ignored_arguments_and_settings_change_nothing():
    (x,) = batches(1)
    plain = told(module(), 9)(x)
    mask = torch.arange(19) < torch.tensor([[19], [7]])
    for given in (
        mask,
        mask[:, None] & mask[..., None],
        (mask[:, None] & mask[..., None])[:, None],
    ):
        assert torch.equal(told(module(), 9)(x, None, given), plain)
    assert torch.equal(told(module(), 9)(x, torch.randn(2, 7, 16), None, {}), plain)
    assert torch.equal(told(module(temp_scale=0.9), 9)(x), plain)
    assert torch.equal(told(module(max_dist=19), 9)(x), plain)
    made = module()
    with torch.no_grad():
        made.attn_local.span_scale.fill_(7.0)
    assert torch.equal(told(made, 9)(x), plain)


def test_a_temperature_exists_without_fused_attention_alone(monkeypatch):
    monkeypatch.setattr(BaseAttention, "use_sdpa", False)
    (x,) = batches(1, T=13)

    def change():
        outs = [told(module(temp_scale=scale), 5)(x) for scale in (0.01, 0.9)]
        return (outs[0] - outs[1]).abs().max()

    assert change() < 1e-3  # after ten rounds a row is one key at any temperature
    monkeypatch.setattr(source, "ITERATIONS", 1)
    assert change() > 1e-3


def test_the_values_are_taken_for_a_mask(monkeypatch):
    """So the global branch is causal, and else has features added to its scores."""
    made, (x,) = told(module(), 0), batches(1)
    later = x.clone()
    later[:, 9:] = torch.randn(2, 10, 16)
    assert_close(made(later)[:, :9], made(x)[:, :9], **TOLERANCE)
    assert (made(later)[:, 9:] - made(x)[:, 9:]).abs().max() > 1e-3
    monkeypatch.setattr(BaseAttention, "use_sdpa", False)
    assert (made(later[:, :12])[:, :9] - made(x[:, :12])[:, :9]).abs().max() > 1e-3
    with pytest.raises(RuntimeError, match="must match"):
        made(x)  # more frames than features


def without_gradient(made, calls):
    names = {name for name, _ in made.named_parameters()}
    for x in calls:
        made(x).square().sum().backward()
    return names - {name for name, p in made.named_parameters() if p.grad is not None}


def test_what_is_trained_and_what_is_not():
    """What the module is named for is not: the span, the updates, and before luck, the windows."""
    made = told(module(), 9)
    never = without_gradient(made, batches(2))
    assert {name.rpartition(".")[0] or name for name in never} == {
        "span_pred.linear", "attn_local",
        *(f"attn_global.{part}_update_predictor.{i}" for part in ("key", "value") for i in (0, 2)),
    }  # fmt: skip
    assert "attn_local.span_scale" in never
    at_first = without_gradient(module(epsilon=0.0), batches(2))
    assert at_first - never == {"ln_a.weight", "ln_a.bias"}


def test_the_update_predictors_are_asked_by_a_cache_alone_and_compared(monkeypatch):
    asked = []
    made = told(module(), 3)
    for predictor in ("key_update_predictor", "value_update_predictor"):
        getattr(made.attn_global, predictor).register_forward_hook(lambda *_: asked.append(1))
    made(*batches(1), kv_cache={})
    assert not asked
    torch.manual_seed(0)
    alone = AdaptiveUpdateAttention(16, 2)
    with torch.no_grad():
        alone.key_update_predictor[2].weight.mul_(20)
    first, second = batches(2, B=6)
    alone(first)
    kept, changed = alone.stored_key_cache, alone.key_module(second)
    alone(second, kv_cache={}).square().sum().backward()
    renewed = (alone.stored_key_cache == changed).flatten(1).all(dim=1)
    same = (alone.stored_key_cache == kept).flatten(1).all(dim=1)
    assert (renewed ^ same).all()
    assert renewed.any()
    assert same.any()
    assert all(p.grad is None for p in alone.key_update_predictor.parameters())


def test_every_batch_is_a_new_state_so_the_action_is_0_and_there_is_no_local_branch():
    made, taken = module(epsilon=0.0, dims=32), []
    choose = made.refiner.choose_action
    made.refiner.choose_action = lambda state: taken.append((state, choose(state))) or taken[-1][1]
    local = []
    windows = made.slide_win
    made.slide_win = lambda *args: local.append(windows(*args)) or local[-1]
    for x in batches(30, D=32):
        made(x)
    states, actions = zip(*taken, strict=True)
    assert len(set(states)) == 30
    assert set(actions) == {0}
    assert all(out.count_nonzero() == 0 for out in local)


def test_it_learns_in_evaluation_and_answers_the_same_input_in_two_ways():
    """The reward of no output is a little below zero, so that the next time action 1 is best."""
    made, (x,) = module(epsilon=0.0, max_span=40).eval(), batches(1)
    first, second = made(x), made(x)
    values = {action: value for (_, action), value in made.refiner.R.items()}
    assert values[0] == pytest.approx(0.1 * -0.1 * 16 * 1e-10 * 23.02585, rel=1e-3)
    assert values[1] != 0
    assert not torch.equal(first, second)


def test_two_runs_give_the_same_bytes_if_numpy_is_seeded_and_not_by_torchs_seed():
    def run(of_numpy):
        np.random.seed(of_numpy)
        made = module(epsilon=0.5)
        return torch.stack([made(x) for x in batches(8)])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_the_hash_of_a_state_is_that_of_integers_and_the_same_in_every_process():
    state = (5, 0, 10, 4)
    command = f"print(hash({state}))"
    told = {
        subprocess.run(
            [sys.executable, "-S", "-c", command],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2", "random")
    }  # fmt: skip
    assert told == {f"{hash(tuple(np.array(state)))}\n".encode()}


def test_what_was_learned_is_not_saved():
    made = module(epsilon=1.0)
    calls = batches(3)
    for x in calls * 4:
        made(x)
    made.refiner.epsilon = 0.0
    again = module(epsilon=0.0)
    again.load_state_dict(made.state_dict())
    assert len(made.refiner.R) > 0
    assert again.refiner.R == {}
    assert not all(torch.equal(again(x), made(x)) for x in calls)
    assert not any("refiner" in name for name in made.state_dict())


def test_the_whole_batch_shares_one_action_and_one_span():
    (x,), (other,) = batches(1), batches(1, B=1)
    made = told(module(), 9)
    with torch.no_grad():
        made.span_pred.linear.weight.mul_(30)
    together = made(x)
    alone = torch.cat([made(item[None]) for item in x])
    assert (together - alone).abs().max() > 1e-3
    made = module()
    states = {made.extract(made.ln_a(part)) for part in (x, x[:1], torch.cat((x, other)))}
    assert len(states) == 3


def test_padding_is_attended_to_and_counted():
    """In front; behind, where all is causal, it moves the span and the learner's state."""
    made, (x,) = told(module(), 9), batches(1)
    for behind in (False, True):
        mask = torch.arange(19) < 15 if behind else torch.arange(19) >= 4
        loud = torch.where(mask[:, None], x, 50 * torch.randn(2, 19, 16))
        outs = [made(each, mask=mask.expand(2, -1))[:, mask] for each in (x, loud)]
        changed = (outs[0] - outs[1]).abs().max() > 1e-3
        assert changed or behind
        assert made.extract(made.ln_a(x)) != made.extract(made.ln_a(loud))


def looks(made, x, monkeypatch):
    """How often attention is computed in the windows of one call."""
    count = []
    whole = source.calculate_attention
    with monkeypatch.context() as patch:
        patch.setattr(source, "calculate_attention", lambda *a: count.append(1) or whole(*a))
        made(x)
    return len(count)


def test_the_tolerance_is_of_the_change_so_that_the_scale_decides_when_to_stop(monkeypatch):
    """change < 1e-4 + 0.1 change is change < 1.1e-4: small outputs stop, however much they change.

    The comparison has no gradient: that of what is stopped at is that of the rounds before.
    """
    (x,) = batches(1, T=8)
    made = told(module(win_size=256, max_span=384), 9)
    assert looks(made, x, monkeypatch) == 10
    with torch.no_grad():
        made.ln_a.bias.zero_()
        made.ln_a.weight.fill_(1e-4)
    assert looks(made, x, monkeypatch) == 1
    with torch.no_grad():
        made.ln_a.weight.fill_(1e-3)
    assert 1 < looks(made, x, monkeypatch) < 10


def reach(made, T, at, win_size, span_len):
    """The positions whose local output changes with position `at`."""
    torch.manual_seed(3)
    x = torch.randn(1, T, 16)
    other = x.clone()
    other[:, at] += torch.randn(16)
    outs = [made.slide_win(each, win_size, span_len, 1.0, None) for each in (x, other)]
    return (outs[0] - outs[1]).abs().amax(dim=(0, 2)).gt(1e-5).nonzero().flatten().tolist()


def test_a_window_of_half_its_span_sees_the_window_before_and_never_itself(monkeypatch):
    """Its keys are cut to as many as its queries, from the first: those of the window before.

    Position 9 is a query, and a key of positions 17 to 23 of the next window alone.
    """
    monkeypatch.setattr(source, "ITERATIONS", 1)
    made = module(win_size=8, max_span=16)
    assert reach(made, 32, 9, 8, 16) == [9, *range(17, 24)]
    made = module(win_size=8, max_span=8)
    assert reach(made, 32, 9, 8, 8) == list(range(9, 16))


@pytest.mark.parametrize(("settings", "T"), [({"win_size": 16, "max_span": 12}, 40),
                                             ({"win_size": 16, "max_dist": 3}, 40)])  # fmt: skip
def test_a_span_or_a_distance_below_the_window_raises_when_the_action_is_large(settings, T):
    (x,) = batches(1, T=T)
    told(module(**settings), 1)(x)
    with pytest.raises(RuntimeError):
        told(module(**settings), 9)(x)


def test_after_a_training_step_it_cannot_be_copied():
    made = module()
    copy.deepcopy(made)
    made(*batches(1)).sum().backward()  # the keys are kept, with the graph they came from
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(made)


def layer(**settings):
    torch.manual_seed(0)
    return attention.build("integrated_published", dims=16, heads=2, **SIZES | settings)


def test_the_mechanism_computes_what_the_module_does():
    (x,) = batches(1)
    made = layer(action=7)
    plain = told(module(), 7)
    plain.load_state_dict({n.removeprefix("integrated."): w for n, w in made.state_dict().items()})
    assert torch.equal(made(x).out, plain(x))
    span, temperature = made.spans(x)
    assert 0 < span.unique().item() < 12 * 7 / 9
    assert temperature.unique().item() == 1
    weights = made(x, need_weights=True).weights
    assert weights.triu(1).count_nonzero() == 0
    assert_close(weights.sum(dim=-1), torch.ones(2, 2, 19))


def test_the_mechanism_learns_in_training_alone_and_by_its_own_seed():
    def run(**settings):
        made = layer(**settings)
        outs = [made(x).out for x in batches(40, T=3)]
        table = dict(made.integrated.refiner.R)
        made.eval()
        assert torch.equal(made(*batches(1)).out, made(*batches(1)).out)
        assert table == made.integrated.refiner.R
        return torch.stack(outs), table

    first, second, other = run(), run(), run(seed=1)
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]
    assert first[1] != other[1]
    assert {action for _, action in first[1]} > {0}  # it explores


def test_it_can_adopt_causal_attention_before_which_it_normalises():
    plain = attention.build("whisper", dims=16, heads=2, causal=True)
    made = layer().adopt(plain)
    (x,) = batches(1)
    normed = torch.nn.functional.layer_norm(x, (16,))
    assert_close(made(x).out, plain(normed).out, **TOLERANCE)


def test_the_mechanism_says_that_it_honours_no_mask():
    _, cls = attention.load("integrated_published")
    assert {cls.masked, cls.causal, cls.cross, cls.tempered} == {False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action": 10}, r"action: expected one of None, 0, .*, 9, given '10'"),
        ({"win_size": 0}, r"win_size: expected a positive number, given 0"),
        ({"max_span": -1}, r"max_span: expected a positive number, given -1"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
