"""What every mechanism promises. The cases come from the registry: a new file is tested on arrival.

Shape alphabet: B batch, T query length, S key length, D model width.
"""

import dataclasses
import importlib
import re

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import UnsuitedError

D, HEADS = 32, 4
LENGTHS = (37, 22, 1)  # of the items of a batch; odd, and one of a single position
T = max(LENGTHS)
TEXT = 5  # queries in cross-attention
INVARIANCE = {"rtol": 0, "atol": 1e-5}
BOUND = re.compile("win|span|dist|routed")  # settings that bound what is seen, by their names
OPEN = 2 * T  # such a setting at which all is seen


def cases(name):
    """The settings by label with which a mechanism is tested: `CASES` of its own test file.

    Between them they cross every window, block, route and decay several times.
    """
    try:
        return importlib.import_module(f"tests.attention.test_{name}").CASES
    except (ModuleNotFoundError, AttributeError):
        pytest.fail(f"tests/attention/test_{name}.py: write CASES = {{label: settings}} there")


def bounds(name):
    config, _ = attention.load(name)
    return {
        f.name for f in dataclasses.fields(config) if f.type is not bool and BOUND.search(f.name)
    }


def uses():
    """(case, use) for each of self, causal and cross that the mechanism's class supports.

    A case is a mechanism's name and the label of its settings.
    """
    for name in attention.names():
        _, cls = attention.load(name)
        for label in cases(name):
            yield f"{name} {label}", "self"
            if cls.causal:
                yield f"{name} {label}", "causal"
            if cls.cross:
                yield f"{name} {label}", "cross"


def module_is_masked(case):
    return attention.load(case.split()[0])[1].masked


ALL = list(uses())
CAUSAL = [case for case, use in ALL if use == "causal"]
MASKED = [(case, use) for case, use in ALL if module_is_masked(case)]
every_use = pytest.mark.parametrize(("case", "use"), ALL, ids=lambda value: value)
every_masked_use = pytest.mark.parametrize(("case", "use"), MASKED, ids=lambda value: value)


def layer(case, use, **settings):
    """The layer of a case with the same weights every time; `settings` instead of the case's."""
    name, _, label = case.partition(" ")
    settings = cases(name)[label] | settings
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
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split(chunks, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **INVARIANCE)


@pytest.mark.parametrize("case", [case for case, use in ALL if use == "cross"])
def test_cross_attention_reads_a_cache_as_it_reads_the_audio(case):
    module = layer(case, "cross")
    x, xa, mask = inputs("cross")
    mask = mask if module_is_masked(case) else None
    state = module.new_state()
    steps = [module(part, xa, mask, state=state).out for part in x.split(1, dim=1)]
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
    assert (asked.weights is not None) == module.weighted
    if not module.weighted:
        return
    assert asked.weights.shape[0] == x.shape[0]
    assert asked.weights.shape[2:] == (x.shape[1], (x if xa is None else xa).shape[1])
    if module.normalised:
        sums = asked.weights.sum(dim=-1)
        assert_close(sums, (sums > 0.5).to(sums.dtype), **INVARIANCE)
    if mask is not None:
        hidden = asked.weights.masked_select(~mask[:, None, None, :])
        assert_close(hidden, torch.zeros_like(hidden), **INVARIANCE)


@every_use
def test_runs_repeat(case, use):
    x, xa, _ = inputs(use)
    assert torch.equal(layer(case, use)(x, xa).out, layer(case, use)(x, xa).out)


@every_use
@pytest.mark.parametrize("length", [1, 8, 65, 200])
def test_at_any_length_the_weights_tell_what_was_computed(case, use, length):
    """The quick way, forward and backward, against the one that computes every weight."""
    module = layer(case, use)
    x, xa, _ = inputs(use, lengths=(length, length))
    leaves = [x.requires_grad_(), *(p for p in module.parameters())]
    leaves += [] if xa is None else [xa.requires_grad_()]
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    found = []
    for need_weights in (False, True):
        out = module(x, xa, need_weights=need_weights).out
        found.append((out, *torch.autograd.grad(out, leaves, upstream, allow_unused=True)))
    for quick, slow in zip(*found, strict=True):
        if quick is None or slow is None:
            assert quick is slow
        else:
            atol = 2e-5 * max(1.0, slow.abs().max().item())
            assert_close(quick, slow, rtol=1e-4, atol=atol)


@every_use
def test_a_temperature_of_one_is_none_to_the_bit_and_each_head_has_its_own(case, use):
    module, (x, xa, _) = layer(case, use), inputs(use)
    plain = module(x, xa).out
    module.temperature = 1.0
    assert torch.equal(module(x, xa).out, plain)
    if not module.tempered:
        with pytest.raises(UnsuitedError, match="has no temperature"):
            module.temperature = 0.5
        return
    module.temperature = 0.25
    assert not torch.allclose(module(x, xa).out, plain, atol=1e-3)
    before = module(x, xa, need_weights=True).weights
    module.temperature = torch.tensor([0.25, 0.25, 3.0, 0.25])
    after = module(x, xa, need_weights=True).weights
    same = [torch.allclose(before[:, h], after[:, h], atol=1e-6) for h in range(HEADS)]
    assert same == [True, True, False, True]
    module.temperature = 1.0
    assert torch.equal(module(x, xa).out, plain)
    for wrong in (0.0, -1.0):
        with pytest.raises(ValueError, match="temperature: expected positive numbers, given"):
            module.temperature = wrong


@pytest.mark.parametrize(
    ("case", "use"), [(c, u) for c, u in ALL if attention.load(c.split()[0])[1].projected]
)
def test_what_is_done_to_the_rows_of_weights_is_done(case, use):
    module, (x, xa, mask) = layer(case, use), inputs(use)
    plain = module(x, xa, mask).out
    module.edit = lambda rows: rows
    assert_close(module(x, xa, mask).out, plain, **INVARIANCE)
    module.edit = torch.zeros_like
    assert_close(module(x, xa, mask).out, module.out.bias.expand_as(plain), **INVARIANCE)


@pytest.mark.parametrize("name", attention.names())
def test_a_declared_capability_is_what_is_found(name):
    module, (x, xa, _) = layer(f"{name} as it comes", "self"), inputs("self")
    weights = module(x, xa, need_weights=True).weights
    assert (weights is not None) == module.weighted
    if module.normalised and module.weighted:
        assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]), **INVARIANCE)
    if module.recurrent:
        module = layer(f"{name} as it comes", "causal")
        sizes = []
        for length in (5, 50):
            state = module.new_state()
            module(torch.randn(1, length, D), state=state)
            sizes.append(sum(t.numel() for t in vars(state).values() if torch.is_tensor(t)))
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("name", "use"), sorted({(case.split()[0], use) for case, use in ALL}), ids=str
)
def test_a_neutral_mechanism_computes_what_it_adopted(name, use):
    _, cls = attention.load(name)
    if isinstance(cls.neutral, str):
        assert len(cls.neutral.split()) > 3  # why there is no such limit
        return
    source, settings = cls.neutral
    torch.manual_seed(5)
    place = {"dims": D, "heads": HEADS, "causal": use == "causal", "cross": use == "cross"}
    adopted = attention.build(source, **place).eval()
    module = attention.build(name, **place, **settings).eval().adopt(adopted)
    for lengths in (LENGTHS, (200, 140)):
        x, xa, mask = inputs(use, lengths)
        assert_close(module(x, xa, mask).out, adopted(x, xa, mask).out, **INVARIANCE)


def test_weights_that_find_no_place_are_an_error():
    focused = attention.build("focused", dims=D, heads=HEADS)
    whisper = attention.build("whisper", dims=D, heads=HEADS)
    with pytest.raises(UnsuitedError, match=r"WhisperAttention cannot adopt FocusedAttention: .*"):
        whisper.adopt(focused)
    with pytest.raises(UnsuitedError, match=r"no place for query.weight \(16, 16\)"):
        whisper.adopt(attention.build("whisper", dims=16, heads=HEADS))


@pytest.mark.parametrize("name", attention.names())
def test_every_setting_that_bounds_what_is_seen_has_a_narrow_value(name):
    narrow = {setting for settings in cases(name).values() for setting in settings}
    assert bounds(name) <= narrow, f"add them to CASES of tests/attention/test_{name}.py"


@pytest.mark.parametrize("name", [name for name in attention.names() if bounds(name)])
def test_a_narrow_value_hides_something_of_what_is_tested(name):
    x, _, _ = inputs("self", lengths=(T, T))
    narrow = layer(f"{name} narrow", "self")
    settings = bounds(name) & cases(name)["narrow"].keys()
    together = "published" in name  # no two may differ much there
    for opened in [settings] if together else [{setting} for setting in settings]:
        wide = layer(f"{name} narrow", "self", **dict.fromkeys(opened, OPEN))
        assert not torch.allclose(narrow(x).out, wide(x).out, atol=1e-3), opened


@pytest.mark.parametrize("name", attention.names())
def test_an_unknown_setting_and_a_wrong_width_are_named(name):
    with pytest.raises(ValueError, match=f"{name}: unknown setting 'sharpnes'"):
        attention.build(name, dims=D, heads=HEADS, sharpnes=1)
    with pytest.raises(ValueError, match=r"heads: expected a divisor of the width 32, given 5"):
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
