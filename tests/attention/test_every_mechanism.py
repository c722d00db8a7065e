"""What every mechanism promises. The cases come from the registry: a new file is tested on arrival.

Shape alphabet: B batch, T query length, S key length, D model width.
"""

import dataclasses
import re

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import KeyValueCache

D, HEADS = 32, 4
LENGTHS = (37, 22, 1)  # of the items of a batch; odd, and one of a single position
T = max(LENGTHS)
TEXT = 5  # queries in cross-attention
INVARIANCE = {"rtol": 0, "atol": 1e-5}
NARROW = {  # settings with which T crosses every window, block and route several times
    "rotary": {"max_dist": 5},
    "focused": {"max_span": 3, "ramp": 2},
    "hybrid": {"max_span": 3, "ramp": 2},
    "local": {"window_size": 4},
    "mixture_autoregressive": {
        "num_routed_queries": 2, "num_routed_key_values": 3, "local_attn_window_size": 4,
        "routed_window_size": 5,
    },
    "adaptive_span_published": {"max_dist": 5, "max_span": 9, "slid_win": 9},
    "hybrid_published": {"max_dist": 5, "max_span": 9, "slid_win": 9},
}  # fmt: skip
BOUND = re.compile("win|span|dist|routed")  # settings that bound what is seen, by their names
TOGETHER = {name for name in NARROW if name.endswith("_published")}  # no two may differ much there
OPEN = 2 * T  # such a setting at which all is seen


def uses():
    """(case, use) for each of self, causal and cross that the mechanism's class supports.

    A case is a mechanism as it comes, or with its settings of `NARROW`.
    """
    for name in attention.names():
        _, cls = attention.load(name)
        for case in (name, *([f"{name} narrow"] if name in NARROW else [])):
            yield case, "self"
            if cls.causal:
                yield case, "causal"
            if cls.cross:
                yield case, "cross"


def module_is_masked(case):
    return attention.load(case.split()[0])[1].masked


ALL = list(uses())
CAUSAL = [case for case, use in ALL if use == "causal"]
MASKED = [(case, use) for case, use in ALL if module_is_masked(case)]
every_use = pytest.mark.parametrize(("case", "use"), ALL, ids=lambda value: value)
every_masked_use = pytest.mark.parametrize(("case", "use"), MASKED, ids=lambda value: value)


def layer(case, use, **settings):
    """The layer of a case with the same weights every time; `settings` instead of the case's."""
    name, *narrow = case.split()
    settings = (NARROW[name] if narrow else {}) | settings
    torch.manual_seed(0)
    return attention.build(
        name, dims=D, heads=HEADS, causal=use == "causal", cross=use == "cross", **settings
    ).eval()


def inputs(use, lengths=LENGTHS, seed=1):
    """x, xa and the mask of the keys; what is behind the mask is loud on purpose."""
    generator = torch.Generator().manual_seed(seed)
    B, S = len(lengths), max(lengths)
    mask = torch.arange(S) < torch.tensor(lengths)[:, None]
    keys = torch.randn(B, S, D, generator=generator)
    keys = torch.where(mask[..., None], keys, 50 * torch.randn(B, S, D, generator=generator))
    if use == "cross":
        return torch.randn(B, TEXT, D, generator=generator), keys, mask
    return keys, None, mask


@every_use
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shape_dtype_and_finite_gradients(case, use, dtype):
    module = layer(case, use).to(dtype).train()
    x, xa, mask = inputs(use)
    x = x.to(dtype).requires_grad_()
    xa = None if xa is None else xa.to(dtype).requires_grad_()
    out, weights, losses = module(x, xa, mask if module_is_masked(case) else None)
    assert out.shape == x.shape
    assert out.dtype == dtype
    assert weights is None
    assert all(loss.shape == () for loss in losses.values())
    (out.square().mean() + sum(losses.values())).backward()
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    for label, leaf in leaves.items():
        assert leaf.grad is None or leaf.grad.isfinite().all(), label
    assert x.grad is not None


@every_masked_use
def test_padding_never_changes_an_item(case, use):
    module = layer(case, use)
    x, xa, mask = inputs(use)
    together = module(x, xa, mask).out
    for i, n in enumerate(LENGTHS):
        if use == "cross":
            alone = module(x[i : i + 1], xa[i : i + 1, :n]).out
            assert_close(together[i : i + 1], alone, **INVARIANCE)
        else:
            alone = module(x[i : i + 1, :n]).out
            assert_close(together[i : i + 1, :n], alone, **INVARIANCE)


@every_masked_use
def test_no_item_of_a_batch_influences_another(case, use):
    module = layer(case, use)
    x, xa, mask = inputs(use)
    other_x, other_xa, _ = inputs(use, seed=2)
    before = module(x, xa, mask).out[0]
    other_x[0] = x[0]
    if xa is not None:
        other_xa[0] = xa[0]
    assert_close(module(other_x, other_xa, mask).out[0], before, **INVARIANCE)


@every_masked_use
def test_an_item_without_keys_is_finite_with_finite_gradients(case, use):
    module = layer(case, use).train()
    x, xa, mask = inputs(use)
    mask[1] = False
    for need_weights in (False, True):
        x = x.detach().requires_grad_()
        out = module(x, xa, mask, need_weights=need_weights).out
        assert out.isfinite().all()
        out.square().mean().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("case", CAUSAL)
@pytest.mark.parametrize("t", [1, 6, 18, T - 1])
def test_a_causal_layer_never_sees_the_future(case, t):
    module = layer(case, "causal")
    x, _, _ = inputs("causal", lengths=(T, T))
    changed = x.clone()
    changed[:, t:] += 3 * torch.randn(changed[:, t:].shape, generator=torch.Generator())
    before, after = module(x).out, module(changed).out
    assert_close(after[:, :t], before[:, :t], **INVARIANCE)
    assert not torch.allclose(after[:, t:], before[:, t:], atol=1e-3)


@pytest.mark.parametrize("case", CAUSAL)
@pytest.mark.parametrize("chunks", [(1,) * T, (4, 1, 5, 1, 1, 1, 17, 7), (T,)], ids=len)
def test_decoding_with_a_cache_equals_the_whole_sequence(case, chunks):
    module = layer(case, "causal")
    x, _, _ = inputs("causal", lengths=(T, T))
    cache = KeyValueCache()
    steps = [module(part, cache=cache).out for part in x.split(chunks, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **INVARIANCE)


@pytest.mark.parametrize("case", [case for case, use in ALL if use == "cross"])
def test_cross_attention_reads_a_cache_as_it_reads_the_audio(case):
    module = layer(case, "cross")
    x, xa, mask = inputs("cross")
    mask = mask if module_is_masked(case) else None
    cache = KeyValueCache()
    steps = [module(part, xa, mask, cache=cache).out for part in x.split(1, dim=1)]
    alone = [module(part, xa, mask).out for part in x.split(1, dim=1)]
    assert_close(torch.cat(steps, dim=1), torch.cat(alone, dim=1), **INVARIANCE)


@every_use
def test_asking_for_weights_changes_nothing_else(case, use):
    module = layer(case, use)
    x, xa, mask = inputs(use)
    mask = mask if module_is_masked(case) else None
    plain, asked = module(x, xa, mask), module(x, xa, mask, need_weights=True)
    assert_close(asked.out, plain.out, **INVARIANCE)
    assert asked.losses.keys() == plain.losses.keys()
    assert asked.weights is not None
    assert asked.weights.shape[0] == x.shape[0]
    assert asked.weights.shape[2:] == (x.shape[1], (x if xa is None else xa).shape[1])
    sums = asked.weights.sum(dim=-1)
    assert_close(sums, (sums > 0.5).to(sums.dtype), **INVARIANCE)
    if mask is not None:
        hidden = asked.weights.masked_select(~mask[:, None, None, :])
        assert_close(hidden, torch.zeros_like(hidden), **INVARIANCE)


@every_use
def test_runs_repeat(case, use):
    x, xa, _ = inputs(use)
    assert torch.equal(layer(case, use)(x, xa).out, layer(case, use)(x, xa).out)


def bounds(name):
    config, _ = attention.load(name)
    return [
        f.name for f in dataclasses.fields(config) if f.type is not bool and BOUND.search(f.name)
    ]


@pytest.mark.parametrize("name", attention.names())
def test_every_setting_that_bounds_what_is_seen_has_a_narrow_value(name):
    assert set(bounds(name)) <= NARROW.get(name, {}).keys(), f"add them to NARROW[{name!r}]"


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, [setting]) for name in sorted(NARROW.keys() - TOGETHER) for setting in NARROW[name]]
    + [(name, [*NARROW[name]]) for name in sorted(TOGETHER)],
    ids=str,
)
def test_a_narrow_value_hides_something_of_what_is_tested(name, settings):
    x, _, _ = inputs("self", lengths=(T, T))
    narrow = layer(f"{name} narrow", "self")
    opened = layer(f"{name} narrow", "self", **dict.fromkeys(settings, OPEN))
    assert not torch.allclose(narrow(x).out, opened(x).out, atol=1e-3)


@pytest.mark.parametrize("name", attention.names())
def test_an_unknown_setting_and_a_wrong_width_are_named(name):
    with pytest.raises(ValueError, match=f"{name}: unknown setting 'sharpnes'"):
        attention.build(name, dims=D, heads=HEADS, sharpnes=1)
    with pytest.raises(ValueError, match=r"heads must divide the width; given width 32, heads 5"):
        attention.build(name, dims=D, heads=5)


@pytest.mark.parametrize("name", attention.names())
def test_a_use_that_a_mechanism_does_not_support_is_refused(name):
    _, cls = attention.load(name)
    for use in ("causal", "cross"):
        if not getattr(cls, use):
            with pytest.raises(ValueError, match=f"{name}: cannot"):
                attention.build(name, dims=D, heads=HEADS, **{use: True})


def test_an_unknown_mechanism_is_named_with_the_choice():
    with pytest.raises(ValueError, match=r"unknown 'wisper'; choose one of .*whisper"):
        attention.build("wisper", dims=D, heads=HEADS)
