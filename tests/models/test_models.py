"""What both models promise: padding, weights, caches, sizes, and errors that name the mistake."""

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention, models

INVARIANCE = {"rtol": 0, "atol": 1e-5}
BASE = {
    "n_mels": 12,
    "n_audio_ctx": 40,
    "n_audio_state": 32,
    "n_audio_head": 4,
    "n_audio_layer": 2,
    "n_vocab": 31,
    "n_text_ctx": 20,
    "n_text_state": 32,
    "n_text_head": 4,
    "n_text_layer": 2,
}
FRAMES = (67, 33, 2)
STRIDES = [(1, 2), (2, 2), (1, 1)]
each_model = pytest.mark.parametrize("name", models.MODELS)


def build(name, **settings):
    torch.manual_seed(0)
    return models.build(name, **BASE | settings).eval()


def inputs(frames=FRAMES, L=7):
    """Features whose padding is loud, and not finite in one place."""
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn(len(frames), BASE["n_mels"], max(frames), generator=generator)
    for item, n in zip(mel, frames, strict=True):
        item[:, n:] = 50.0
    mel[-1, 0, -1] = torch.nan
    tokens = torch.randint(BASE["n_vocab"], (len(frames), L), generator=generator)
    return mel, tokens, torch.tensor(frames)


@each_model
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_a_padded_batch_equals_each_item_alone(name, strides):
    model = build(name, conv_strides=strides, ctc=True, n_audio_ctx=80)
    mel, tokens, frames = inputs()
    together = model(mel, tokens, frames, need_weights=True)
    for i, n in enumerate(FRAMES):
        alone = model(mel[i : i + 1, :, :n], tokens[i : i + 1], need_weights=True)
        S = alone.ctc_logits.shape[1]
        assert S == model.encoder.positions(n) == together.mask[i].sum()
        assert alone.mask is None
        assert_close(together.logits[i : i + 1], alone.logits, **INVARIANCE)
        assert_close(together.ctc_logits[i : i + 1, :S], alone.ctc_logits, **INVARIANCE)
        for kind in ("weights", "encoder_weights"):
            for padded, bare in zip(getattr(together, kind), getattr(alone, kind), strict=True):
                T = bare.shape[2]
                assert_close(padded[i : i + 1, :, :T, :S], bare, **INVARIANCE)
                assert padded[i, :, :, S:].count_nonzero() == 0


@each_model
@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_encoder_positions_follow_the_convolutions(name, strides):
    model = build(name, conv_strides=strides, n_audio_ctx=80)
    for n in range(1, 20):
        audio = model.encoder(torch.randn(1, BASE["n_mels"], n)).audio
        assert audio.shape[1] == model.encoder.positions(n)
    assert model.downsampling == strides[0] * strides[1]
    counts = torch.arange(1, 20)
    assert model.encoder.positions(counts).tolist() == [
        model.encoder.positions(n) for n in range(1, 20)
    ]


@each_model
def test_frames_that_fill_the_batch_need_no_mask(name):
    model = build(name)
    mel, tokens, _ = inputs(frames=(30, 30))
    mel = mel.nan_to_num()
    full = model(mel, tokens, torch.tensor([30, 30]))
    assert full.mask is None
    assert_close(full.logits, model(mel, tokens).logits, **INVARIANCE)


@each_model
def test_weights_on_request_change_nothing_and_come_from_every_attention(name):
    model = build(name)
    mel, tokens, frames = inputs()
    plain, asked = model(mel, tokens, frames), model(mel, tokens, frames, need_weights=True)
    assert_close(asked.logits, plain.logits, **INVARIANCE)
    assert plain.weights is plain.encoder_weights is plain.decoder_weights is None
    S, L = asked.mask.shape[1], tokens.shape[1]
    assert [w.shape for w in asked.weights] == [(3, 4, L, S)] * 2
    assert [w.shape for w in asked.decoder_weights] == [(3, 4, L, L)] * 2
    assert [w.shape for w in asked.encoder_weights] == [(3, 4, S, S)] * len(model.encoder.blocks)


@each_model
def test_cached_decoding_equals_the_whole_text(name):
    model = build(name)
    mel, tokens, frames = inputs(L=11)
    whole = model(mel, tokens, frames).logits
    audio, mask, *_ = model.encoder(mel, frames)
    cache = model.decoder.new_cache()
    steps = [
        model.decoder(part, audio, mask, cache=cache).logits
        for part in tokens.split((3, 1, 1, 4, 1, 1), dim=1)
    ]
    assert cache.length == 11
    assert_close(torch.cat(steps, dim=1), whole, **INVARIANCE)


@each_model
def test_a_reordered_cache_goes_on_with_the_chosen_rows(name):
    model = build(name)
    mel, tokens, frames = inputs(L=6)
    audio, mask, *_ = model.encoder(mel, frames)
    cache = model.decoder.new_cache()
    model.decoder(tokens[:, :5], audio, mask, cache=cache)
    rows = torch.tensor([2, 0, 0, 1])
    cache.reorder(rows)
    step = model.decoder(tokens[rows, 5:], audio[rows], mask[rows], cache=cache).logits
    assert_close(step, model(mel, tokens, frames).logits[rows, 5:], **INVARIANCE)


@each_model
def test_gradients_reach_every_parameter(name):
    model = build(name, ctc=True).train()
    output = model(*inputs())
    (output.logits.square().mean() + output.ctc_logits.square().mean()).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label


@pytest.mark.parametrize(("focus_blocks", "layers"), [(1, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("heads", [8, 16])
def test_echo_matches_whisper_in_parameters(focus_blocks, layers, heads):
    """At the pilot's sizes: n focus and L residual blocks against n + L encoder layers."""
    sizes = {
        "n_mels": 80,
        "n_audio_ctx": 1500,
        "n_audio_state": 96,
        "n_audio_head": heads,
        "n_vocab": 320,
        "n_text_ctx": 96,
        "n_text_state": 96,
        "n_text_head": heads,
        "n_text_layer": 2,
    }
    echo = models.build("echo", **sizes, n_audio_layer=layers, focus_blocks=focus_blocks)
    whisper = models.build("whisper", **sizes, n_audio_layer=layers + focus_blocks)
    count = {
        name: sum(parameter.numel() for parameter in model.parameters())
        for name, model in (("echo", echo), ("whisper", whisper))
    }
    assert count["echo"] == pytest.approx(count["whisper"], rel=0.05)


def test_echo_hears_positions_without_absolute_ones():
    model = build("echo")
    assert not any("positional_embedding" in name for name in model.state_dict())
    mel, tokens, _ = inputs(frames=(40,))
    mel = mel.nan_to_num()
    forward, backward = model(mel, tokens).logits, model(mel.flip(-1), tokens).logits
    assert not torch.allclose(forward, backward, atol=1e-3)


def test_echo_takes_longer_audio_and_text_than_its_contexts():
    model = build("echo")
    mel, tokens = torch.randn(1, BASE["n_mels"], 200), torch.zeros(1, 33, dtype=torch.long)
    assert model(mel, tokens).logits.shape == (1, 33, 31)


def test_slots_take_a_mechanism_and_its_settings():
    near = build("echo", encoder={"mechanism": "rotary", "max_dist": 2, "base": 100.0})
    weights = near(*inputs(), need_weights=True).encoder_weights
    S = weights[-1].shape[-1]
    far = (torch.arange(S)[:, None] - torch.arange(S)).abs() > 2
    assert weights[-1][:, :, far].count_nonzero() == 0  # the slot's blocks
    assert weights[0][:, :, far].count_nonzero() > 0  # the focus block keeps its own settings


@each_model
@pytest.mark.parametrize("mechanism", attention.names())
def test_every_mechanism_fits_the_encoder_and_trains_there(name, mechanism):
    model = build(name, encoder=mechanism).train()
    mel, tokens, frames = inputs()
    if not attention.load(mechanism)[1].masked:
        mel, frames = mel[:1], None
        tokens = tokens[:1]
    output = model(mel, tokens, frames)
    loss = output.logits.square().mean() + sum(output.losses.values())
    loss.backward()
    assert output.logits.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "wisper"}, r"model: unknown 'wisper'; choose one of whisper, echo"),
        ({"encoder": "wisper"}, r"mechanism: unknown 'wisper'"),
        ({"cross": {"mechanism": "whisper", "sharp": 1}}, r"whisper: unknown setting 'sharp'"),
        ({"cross": {"sharp": 1}}, r"slot: expected a 'mechanism'"),
        ({"n_audio_layers": 3}, r"whisper: unknown setting 'n_audio_layers'"),
        ({"focus": "rotary"}, r"whisper: unknown setting 'focus'"),
        ({"n_text_state": 64}, r"n_text_state: expected n_audio_state = 32.*given 64"),
        ({"n_text_head": 5}, r"heads: expected a divisor of the width 32, given 5"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_in_the_settings_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build(settings.pop("name", "whisper"), **settings)


def test_a_missing_setting_is_named():
    with pytest.raises(ValueError, match=r"echo: setting 'n_mels' is missing"):
        models.build("echo")


def test_too_long_audio_and_text_are_named():
    model = build("whisper")
    tokens = torch.zeros(1, 21, dtype=torch.long)
    with pytest.raises(ValueError, match=r"mel: .*n_audio_ctx = 40.*given 41 \(81 frames\)"):
        model.encoder(torch.randn(1, BASE["n_mels"], 81))
    audio = model.encoder(torch.randn(1, BASE["n_mels"], 80)).audio
    with pytest.raises(ValueError, match=r"tokens: .*n_text_ctx = 20, given 21"):
        model.decoder(tokens, audio)
    cache = model.decoder.new_cache()
    model.decoder(tokens[:, :20], audio, cache=cache)
    with pytest.raises(ValueError, match=r"tokens: .*n_text_ctx = 20, given 21"):
        model.decoder(tokens[:, :1], audio, cache=cache)
