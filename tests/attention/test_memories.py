"""Memories that learn while they read: what all four share."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention import KeyValueCache, UnsuitedError
from tests.reference.memories import CHUNK, EXACT, NAMES, WINDOW, layer

LONG = 5 * CHUNK + 2
every = pytest.mark.parametrize("name", NAMES)


def drawn(*shape, dims=8):
    return torch.randn(*shape, dims, dtype=torch.float64)


@every
def test_it_starts_as_attention_in_a_window_and_then_is_gated_up_to_twofold(name):
    module, plain = layer(name, "self"), attention.build("windowed", dims=8, heads=2, window=WINDOW,
                                                         positions="none").double()  # fmt: skip
    module.adopt(plain)
    x = drawn(2, LONG)
    module.gain.data.zero_()
    assert_close(module(x).out, plain(x).out, **EXACT)
    module.gain.data.fill_(1e9)
    for linear in (module, plain):
        linear.out.weight.data.copy_(torch.eye(8))
        linear.out.bias.data.zero_()
    assert_close((module(x).out / plain(x).out - 1).abs(), torch.ones(2, LONG, 8).double())


@every
@pytest.mark.parametrize("use", ["causal", "self"])
def test_a_memory_reaches_beyond_the_window(name, use):
    module, x = layer(name, use), drawn(1, LONG)
    changed = x.clone()
    changed[:, 0] += 1
    moved = (module(changed).out - module(x).out).abs().amax(dim=(0, 2))
    assert (moved[WINDOW + 1 :] > 1e-9).all()
    module.gain.data.zero_()
    moved = (module(changed).out - module(x).out).abs().amax(dim=(0, 2))
    assert (moved[WINDOW + 1 :] == 0).all()


@every
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("parts", [(1,) * 9, (CHUNK + 2, 1, 2 * CHUNK, 2), (LONG,)], ids=len)
def test_decoding_with_a_state_is_the_whole(name, parts, alone):
    module, x = layer(name, alone=alone), drawn(2, sum(parts))
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split(parts, dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)
    assert state.length == x.shape[1]
    for kept in (value for value in vars(state).values() if torch.is_tensor(value)):
        size = kept.numel() * kept.element_size()
        assert kept.untyped_storage().nbytes() == size  # keeps no more than it is


@every
def test_padding_in_front_is_not_written_while_decoding(name):
    module, x = layer(name), drawn(2, LONG)
    mask, parts = torch.arange(LONG) >= torch.tensor([2, 7])[:, None], (4, 1, LONG - 5)
    state, places = module.new_state(), zip(x.split(parts, 1), mask.split(parts, 1), strict=True)
    steps = [module(part, mask=seen, state=state).out for part, seen in places]
    assert_close(torch.cat(steps, dim=1), module(x, mask=mask).out, **EXACT)


@every
def test_states_choose_their_rows(name):
    module, x, rows = layer(name), drawn(3, LONG), torch.tensor([2, 0, 0, 1])
    state = module.new_state()
    state.reorder(rows)  # of nothing
    module(x[:, :7], state=state)
    state.reorder(rows)
    assert_close(module(x[rows, 7:], state=state).out, module(x[rows]).out[:, 7:], **EXACT)


@every
def test_weights_and_edits_while_decoding(name):
    module, x = layer(name), drawn(2, 9)
    state, expected = module.new_state(), module(x, need_weights=True).weights
    first = module(x[:, :6], state=state, need_weights=True).weights
    rest = module(x[:, 6:], state=state, need_weights=True).weights
    assert_close(first, expected[:, :, :6, :6], **EXACT)
    assert_close(rest, expected[:, :, 6:, 6:], **EXACT)  # of the keys of the call
    module.edit = lambda weights: weights * weights.abs()
    state = module.new_state()
    steps = [module(part, state=state).out for part in x.split((4, 1, 4), dim=1)]
    assert_close(torch.cat(steps, dim=1), module(x).out, **EXACT)


@every
@pytest.mark.parametrize("alone", [False, True])
def test_the_other_sequence_is_projected_and_written_once(name, alone):
    module, x, xa = layer(name, "cross", alone=alone), drawn(2, 4), drawn(2, LONG)
    mask, calls = torch.arange(LONG) < torch.tensor([LONG, 8])[:, None], []
    for part in (module.key, module.tell):
        part.register_forward_hook(lambda *_: calls.append("call"))
    state, rows = module.new_state(), torch.tensor([1, 1, 0])
    steps = [module(part, xa, mask, state=state).out for part in x.split(1, dim=1)]
    assert len(calls) == 2
    assert state.length == LONG
    assert_close(torch.cat(steps, dim=1), module(x, xa, mask).out, **EXACT)
    state.reorder(rows)
    again = module(x[rows], xa[rows], mask[rows], state=state).out
    assert_close(again, module(x, xa, mask).out[rows], **EXACT)


@every
def test_alone_it_has_neither_weights_nor_a_temperature(name):
    module, x = layer(name, alone=True), drawn(1, LONG)
    assert module(x, need_weights=True).weights is None
    assert not module.weighted
    with pytest.raises(UnsuitedError, match="has no temperature"):
        module.temperature = 2.0
    module.edit = torch.zeros_like
    with pytest.raises(UnsuitedError, match="no rows of weights where its memory is alone"):
        module(x)


@every
def test_what_a_memory_cannot_do_is_refused(name):
    module, x = layer(name), drawn(1, 5)
    with pytest.raises(UnsuitedError, match="takes no mask of pairs: all queries share its memory"):
        module(x, mask=torch.ones(1, 5, 5, dtype=torch.bool))
    with pytest.raises(UnsuitedError, match="decodes where it is causal, with a state of its own"):
        module(x, state=KeyValueCache())
    with pytest.raises(UnsuitedError, match="decodes where it is causal"):
        layer(name, "self")(x, state=module.new_state())


@every
def test_what_is_kept_for_the_backward_grows_with_the_length(name):
    for use in ("causal", "self"):
        kept = {}
        for T in (20 * CHUNK, 80 * CHUNK):
            total = 0

            def count(x):
                nonlocal total
                total += x.numel()
                return x

            with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
                layer(name, use)(drawn(1, T))
            kept[T] = total
        assert kept[80 * CHUNK] < 4.2 * kept[20 * CHUNK], use


@every
def test_it_learns_in_single_precision_in_mixed_precision_too(name):
    module, x = layer(name, rate=0.03).float(), drawn(1, 60).float()
    exact, state = module(x).out, module.new_state()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        steps = [module(part, state=state).out for part in x.split((40, *(1,) * 20), dim=1)]
    assert state.memory.dtype == torch.float32
    assert (torch.cat(steps, dim=1) - exact).abs().mean() < 0.05 * exact.abs().mean()
    assert layer(name).bfloat16()(x.bfloat16()).out.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, r"window: expected a positive number, given 0"),
        ({"chunk": 0}, r"chunk: expected a positive number, given 0"),
        ({"expansion": 0}, r"expansion: expected a positive number, given 0"),
        ({"rate": -1.0}, r"rate: expected a positive number, given -1.0"),
        ({"forget": 1.0}, r"forget: expected a number between 0 and 1, given 1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        attention.build("titans", dims=8, heads=2, **settings)
