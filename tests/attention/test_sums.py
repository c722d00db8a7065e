"""Linear mechanisms whose rows share no sum: their states, and what these cannot do."""

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from focused_attention import attention
from focused_attention.attention import KeyValueCache, UnsuitedError
from focused_attention.attention.kernels import CHUNK
from tests.reference.linear import EXACT

NAMES = ["normalised", "lightning", "lightning_blocked", "delta", "flowformer", "nalaformer"]
CROSS = ["normalised", "nalaformer"]
LONG = 2 * CHUNK + 13  # crosses two chunks

every = pytest.mark.parametrize("name", NAMES)
every_cross = pytest.mark.parametrize("name", CROSS)


def layer(name, use="causal", **settings):
    torch.manual_seed(0)
    module = attention.build(
        name, dims=12, heads=3, causal=use == "causal", cross=use == "cross", **settings
    ).double()
    if name == "nalaformer":
        for weights in (module.local.weight, module.local.bias):
            weights.data.normal_()
    return module


def drawn(*shape):
    return torch.randn(*shape, 12, dtype=torch.float64)


@every
@pytest.mark.parametrize("T", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks_of_any_fill_are_the_matrix(name, T):
    for use in ("causal", "self"):
        module, x = layer(name, use), drawn(1, T)
        assert_close(module(x).out, module(x, need_weights=True).out, **EXACT)


@every
@pytest.mark.parametrize("parts", [(1,) * 9, (CHUNK + 5, 1, 2, CHUNK, 1), (LONG,)], ids=len)
def test_decoding_with_sums_is_the_whole(name, parts):
    module, x = layer(name), drawn(2, sum(parts))
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split(parts, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)
    assert state.length == x.shape[1]
    for kept in (value for value in vars(state).values() if torch.is_tensor(value)):
        assert kept.untyped_storage().nbytes() == 8 * kept.numel()  # keeps no more than it is


@every
def test_padding_in_front_is_no_part_of_the_sums(name):
    module, x = layer(name), drawn(2, LONG)
    mask, state = torch.arange(LONG) >= torch.tensor([5, 80])[:, None], module.new_state()
    places = zip(x.split((70, 1, LONG - 71), 1), mask.split((70, 1, LONG - 71), 1), strict=True)
    steps = [module(part, mask=seen, state=state).out for part, seen in places]
    assert_close(torch.cat(steps, dim=1), module(x, mask=mask).out, **EXACT)


@every
def test_states_choose_their_rows(name):
    module, x, rows = layer(name), drawn(3, 9), torch.tensor([2, 0, 0, 1])
    state = module.new_state()
    state.reorder(rows)  # of nothing
    module(x[:, :5], state=state)
    state.reorder(rows)
    assert_close(module(x[rows, 5:], state=state).out, module(x[rows]).out[:, 5:], **EXACT)


@every
def test_weights_while_decoding_are_those_of_the_keys_of_the_call(name):
    module, x = layer(name), drawn(2, 9)
    state, expected = module.new_state(), module(x, need_weights=True)
    first = module(x[:, :6], state=state, need_weights=True)
    rest = module(x[:, 6:], state=state, need_weights=True)
    assert_close(first.weights, expected.weights[:, :, :6, :6], **EXACT)
    assert_close(rest.weights, expected.weights[:, :, 6:, 6:], **EXACT)
    assert_close(torch.cat((first.out, rest.out), dim=1), expected.out, **EXACT)


@every
def test_an_edit_is_done_while_decoding_too(name):
    module, x, rows = layer(name), drawn(2, LONG), torch.tensor([1, 0])
    module.edit = lambda weights: weights * weights.abs()
    for edit in (module.edit, None):  # without an edit, keys that are kept do no harm
        state = module.new_state()
        module.edit = edit
        steps = []
        for part in x.split((LONG - CHUNK, 1, CHUNK - 1), dim=1):
            steps.append(module(part, state=state).out)
        assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)
    state.reorder(rows)
    again = module(x[rows, :1], state=state, need_weights=True)
    assert again.weights.shape == (2, 3, 1, LONG + 1)  # of all that are kept


@every_cross
def test_the_other_sequence_is_projected_once_and_kept_as_sums(name):
    module, x, xa = layer(name, "cross"), drawn(2, 4), drawn(2, LONG)
    mask, calls = torch.arange(LONG) < torch.tensor([LONG, 50])[:, None], []
    module.key.register_forward_hook(lambda *_: calls.append("key"))
    state, rows = module.new_state(), torch.tensor([1, 1, 0])
    steps = [module(part, xa, mask, state=state).out for part in x.split(1, dim=1)]
    assert calls == ["key"]
    assert state.length == LONG
    assert_close(torch.cat(steps, dim=1), module(x, xa, mask).out, **EXACT)
    state.reorder(rows)
    again = module(x[rows], xa[rows], mask[rows], state=state).out
    assert_close(again, module(x, xa, mask).out[rows], **EXACT)


@every_cross
def test_weights_and_edits_of_cross_attention_need_no_keys_in_the_state(name):
    module, x, xa = layer(name, "cross"), drawn(2, 4), drawn(2, LONG)
    state, expected = module.new_state(), module(x, xa, need_weights=True)
    pairs = torch.rand(2, 4, LONG) < 0.5
    for _ in range(2):
        found = module(x, xa, state=state, need_weights=True)
        assert_close(found.weights, expected.weights, **EXACT)
        module(x, xa, state=state)
        assert_close(module(x, xa, pairs, state=state).out, module(x, xa, pairs).out, **EXACT)
    module.edit = lambda weights: weights * weights.abs()
    assert_close(module(x, xa, state=state).out, module(x, xa).out, **EXACT)


@every
def test_what_sums_cannot_do_is_refused(name):
    module, x = layer(name), drawn(1, 5)
    state = module.new_state()
    with pytest.raises(UnsuitedError, match=r"no single keys to edit or|no mask of"):
        module(x, mask=torch.ones(1, 5, 5, dtype=torch.bool), state=state)
    with pytest.raises(UnsuitedError, match="decodes where it is causal, with a state of its own"):
        module(x, state=KeyValueCache())
    with pytest.raises(UnsuitedError, match="decodes where it is causal"):
        layer(name, "self")(x, state=state)
    module.edit = torch.zeros_like
    with pytest.raises(UnsuitedError, match="a state of sums has no single keys to edit"):
        module(x, state=state)
    assert state.length == 0


class Made(TorchDispatchMode):
    """Counts the numbers that are made, forward and backward."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **kwargs or {})
        self.total += sum(x.numel() for x in tree_leaves(made) if torch.is_tensor(x))
        return made


@every
def test_what_is_made_grows_with_the_length_forward_and_backward(name):
    for use in ("causal", "self", *(["cross"] if name in CROSS else [])):
        total = {}
        for S in (10 * CHUNK, 40 * CHUNK):
            module, x = layer(name, use), drawn(1, S).requires_grad_()
            with Made() as made:
                out = module(drawn(1, 7), x).out if use == "cross" else module(x).out
                out.sum().backward()
            total[S] = made.total
        assert total[40 * CHUNK] < 4**1.15 * total[10 * CHUNK], use


@every
def test_sums_are_taken_in_single_precision_in_mixed_precision_too(name):
    module, x = layer(name).float(), drawn(1, 300).float()
    exact, state = module(x).out, module.new_state()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        steps = [module(part, state=state).out for part in x.split((200, *(1,) * 100), dim=1)]
    assert state.sums.dtype == torch.float32
    assert (torch.cat(steps, dim=1) - exact).abs().mean() < 0.03 * exact.abs().mean()
    half = layer(name).bfloat16()
    assert half(x.bfloat16()).out.dtype == torch.bfloat16
