"""Interventions: neutral values change nothing, others do what they say, all is undone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from focused_attention import inference, models
from focused_attention.inference import SLOTS, attentions
from focused_attention.inference.int8 import int8
from focused_attention.inference.temperature import temperature
from focused_attention.inference.topk import keep_largest, topk
from focused_attention.inference.window import window

TOLERANCE = {"rtol": 0, "atol": 1e-5}


def model(**slots):
    torch.manual_seed(3)
    built = models.build(
        "echo", n_mels=8, n_audio_ctx=100, n_audio_state=16, n_audio_head=2, n_audio_layer=1,
        n_vocab=30, n_text_ctx=20, n_text_state=16, n_text_head=2, n_text_layer=2,
        conv_strides=(1, 2), ctc=True, focus_blocks=1, **slots,
    )  # fmt: skip
    for parameter in built.parameters():  # far from uniform rows
        torch.nn.init.normal_(parameter, std=0.4)
    return built.eval()


@pytest.fixture
def inputs():
    torch.manual_seed(4)
    frames = torch.tensor([60, 41, 52])
    return torch.randn(3, 8, 60), torch.randint(0, 30, (3, 7)), frames


def weights_of(output, slot):
    return {
        "encoder": output.encoder_weights,
        "decoder": output.decoder_weights,
        "cross": output.weights,
    }[slot]


@torch.no_grad()
def test_temperature_one_is_the_untouched_model_to_the_bit(inputs):
    echo = model()
    plain = echo(*inputs)
    with temperature(echo, 1.0, *SLOTS), topk(echo, *SLOTS):
        touched = echo(*inputs)
    assert torch.equal(touched.logits, plain.logits)
    assert torch.equal(touched.ctc_logits, plain.ctc_logits)


@torch.no_grad()
@pytest.mark.parametrize("value", [0.5, 3.0])
def test_temperature_divides_the_scores_of_its_slot_alone(inputs, value):
    echo = model()
    plain = echo(*inputs, need_weights=True)
    for slot in SLOTS:
        with temperature(echo, value, slot):
            heated = echo(*inputs, need_weights=True)
        # of the first layer that is touched: what enters it is unchanged
        before, after = (weights_of(output, slot)[0] for output in (plain, heated))
        expected = before.double() ** (1 / value)
        expected = expected / expected.sum(-1, keepdim=True)
        torch.testing.assert_close(after.double(), expected, **TOLERANCE)
        for other in SLOTS[: SLOTS.index(slot)]:
            if other != "decoder":  # above the first block it follows cross-attention
                for ours, theirs in zip(
                    weights_of(heated, other), weights_of(plain, other), strict=True
                ):
                    assert torch.equal(ours, theirs)
    assert torch.equal(echo(*inputs).logits, echo(*inputs).logits)


@torch.no_grad()
@pytest.mark.parametrize(
    "focus", ["rotary", "focused", "hybrid", "local", "hybrid_published", "adaptive_span_published"]
)
def test_every_mechanism_is_heated_and_cooled_again(inputs, focus):
    echo = model(focus=focus)
    plain = echo(*inputs).logits
    with temperature(echo, 0.3, "encoder"):
        assert not torch.equal(echo(*inputs).logits, plain)
    assert torch.equal(echo(*inputs).logits, plain)


@torch.no_grad()
def test_extremes_make_one_hot_and_uniform_rows(inputs):
    echo = model()
    for value, largest in ((1e-4, 1.0), (1e6, 1 / 30)):
        with temperature(echo, value, "encoder"):
            weights = echo(*inputs, need_weights=True).encoder_weights[0][0]
        torch.testing.assert_close(
            weights.amax(-1), torch.full_like(weights[..., 0], largest), rtol=0, atol=1e-3
        )


@given(
    rows=st.integers(1, 4), n=st.integers(1, 30), k=st.integers(1, 40), mass=st.floats(0.05, 1.0)
)
def test_the_largest_weights_are_kept(rows, n, k, mass):
    weights = torch.rand(rows, n, generator=torch.Generator().manual_seed(n)).softmax(-1)
    by_number, by_mass = keep_largest(weights, top_k=k), keep_largest(weights, mass=mass)
    for p, by_k, by_m in zip(weights.tolist(), by_number.tolist(), by_mass.tolist(), strict=True):
        order = sorted(range(n), key=lambda j: -p[j])
        assert {j for j in range(n) if by_k[j] > 0} == set(order[:k])
        fewest = next(
            (m for m in range(1, n + 1) if sum(p[j] for j in order[:m]) >= mass - 1e-6), n
        )
        assert abs(sum(x > 0 for x in by_m) - fewest) <= (abs(mass - 1) < 1e-6)
        for kept in (by_k, by_m):
            assert sum(kept) == pytest.approx(1, abs=1e-5)
            ratios = {round(kept[j] / p[j], 3) for j in range(n) if kept[j]}
            assert max(ratios) - min(ratios) < 0.01


@torch.no_grad()
def test_sparse_rows_replace_those_of_the_slot(inputs):
    echo = model()
    plain = echo(*inputs)
    with topk(echo, "encoder", "cross", top_k=1000):
        torch.testing.assert_close(echo(*inputs).logits, plain.logits, **TOLERANCE)
    with topk(echo, "cross", top_k=3):
        output = echo(*inputs, need_weights=True)
    assert all((w > 0).sum(-1).max() <= 3 for w in output.weights)
    assert not torch.equal(output.logits, plain.logits)
    assert torch.equal(echo(*inputs).logits, plain.logits)


@torch.no_grad()
def test_a_window_hides_what_is_far_and_leaves_the_rest_in_proportion(inputs):
    echo = model()
    plain = echo(*inputs, need_weights=True)
    with window(echo, "encoder", width=1000):
        torch.testing.assert_close(echo(*inputs).logits, plain.logits, **TOLERANCE)
    with window(echo, "encoder", width=2):
        narrow = echo(*inputs, need_weights=True)
    before, after = plain.encoder_weights[0], narrow.encoder_weights[0]
    positions = torch.arange(before.shape[-1])
    far = (positions[:, None] - positions).abs() > 2
    assert after[..., far].count_nonzero() == 0
    shares = before.masked_fill(far, 0.0)
    expected = shares / shares.sum(-1, keepdim=True)
    torch.testing.assert_close(after, expected.nan_to_num(0.0), **TOLERANCE)
    with (
        pytest.raises(ValueError, match="expected slots of self-attention, given cross"),
        window(echo, "cross", width=2),
    ):
        pass


@pytest.mark.parametrize("name", inference.names())
def test_every_technique_is_a_context_manager_of_its_file_and_knows_its_settings(name):
    echo = model()
    settings = {"temperature": {"value": 0.5}, "topk": {"top_k": 3}, "window": {"width": 3}}
    slots = [] if name == "int8" else ["encoder"]
    with inference.applied(echo, name, *slots, **settings.get(name, {})) as changed:
        assert isinstance(changed, models.SpeechModel)
    with pytest.raises(ValueError, match=f"{name}: .*unexpected keyword argument 'sharpnes'"):
        inference.applied(echo, name, *slots, sharpnes=1, **settings.get(name, {}))
    with pytest.raises(ValueError, match="unknown 'sharpen'; choose one of int8"):
        inference.applied(echo, "sharpen")


@torch.no_grad()
def test_quantised_is_a_copy_that_hears_about_the_same(inputs):
    echo = model()
    plain = echo(*inputs).logits
    with int8(echo) as copy:
        rough = copy(*inputs).logits
    assert torch.equal(echo(*inputs).logits, plain)
    assert not torch.equal(rough, plain)
    assert (rough - plain).abs().mean() < 0.1 * plain.std()


def test_what_cannot_be_done_is_refused():
    echo = model(focus="mixture_autoregressive")
    with pytest.raises(ValueError, match="slot: expected one of encoder, decoder, cross, given"):
        attentions(echo, "both")
    with (
        pytest.raises(ValueError, match="temperature: expected positive numbers, given"),
        temperature(echo, 0, "cross"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="MixtureAutoregressive has no temperature"),
        temperature(echo, 0.5, "encoder"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="no weights that could be changed"),
        topk(echo, "encoder", top_k=2),
    ):
        pass
    with pytest.raises(ValueError, match="either top_k or mass"):
        keep_largest(torch.ones(3), top_k=1, mass=0.5)
