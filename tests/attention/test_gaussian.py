"""Gaussian adaptive attention, against the authors' package and a loop."""

import math

import pytest
import torch
from gaussian_adaptive_attention import MultiHeadGaussianAdaptiveAttention
from torch.testing import assert_close

from focused_attention import attention, models
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "one": {"gaussians": 1},
}

D, H = 8, 4


def layer(seed=0, **settings):
    torch.manual_seed(seed)
    module = attention.build("gaussian", dims=D, heads=H, **settings)
    torch.nn.init.normal_(module.delta, std=0.2)
    module.c.data.mul_(2)  # flat enough that no sum is below the package's bound
    return module


def package(module):
    """The authors' layer over time with the same offsets and widths."""
    heads, gaussians = module.c.shape
    peer = MultiHeadGaussianAdaptiveAttention(1, heads, gaussians).to(module.c.dtype)
    for own, delta, c in zip(peer.attention_heads, module.delta, module.c, strict=True):
        own.mean_offsets.data, own.c.data = delta.data.clone(), c.data.clone()
    return peer


def by_loop(module, x, mask):
    """One frame of one channel at a time, with every Gaussian written out."""
    items = []
    for b in range(x.shape[0]):
        seen = [t for t in range(x.shape[1]) if mask is None or mask[b, t]]
        size = max(1, len(seen) // H)
        out = [torch.zeros(D, dtype=x.dtype) for _ in range(x.shape[1])]
        for h in range(H):
            last = None if h == H - 1 else (h + 1) * size
            frames = seen[h * size : last]
            if not frames:
                continue
            columns = []
            for d in range(D):
                values = x[b, frames, d]
                mean = values.sum() / len(frames)
                variance = (values - mean).square().sum() / max(1, len(frames) - 1) + 1e-8
                logs = 0.0  # of the product, which may be too small for a number
                for delta, c in zip(module.delta[h], module.c[h], strict=True):
                    y = (values - (mean + delta)) / variance.sqrt()
                    logs = logs - y**2 / (2 * c**2) - torch.log(2 * math.pi * c**2) / 2
                product = torch.exp(logs - logs.max())
                columns.append(values * product / product.sum())
            for t, row in zip(frames, torch.stack(columns, dim=1), strict=True):
                out[t] = row
        items.append(torch.stack(out))
    return torch.stack(items)


@pytest.mark.parametrize("settings", [{}, {"gaussians": 1}, {"gaussians": 2}], ids=str)
@pytest.mark.parametrize("masked", ["none", "keys", "holes", "pairs"])
def test_equals_the_loop(masked, settings):
    module, T = layer(**settings).double(), 23  # a lone frame's deviation is 1e-4
    x = torch.randn(3, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(T) < torch.tensor([T, 9, 2])[:, None]
    holes = torch.rand(3, T) < 0.6
    visible = {"none": None, "keys": keys, "holes": holes, "pairs": holes}[masked]
    mask = visible[:, None] & torch.eye(T, dtype=torch.bool) if masked == "pairs" else visible
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x, mask=mask).out, by_loop(module, x, visible), leaves)


@pytest.mark.parametrize("gaussians", [1, 5])
@pytest.mark.parametrize("T", [20, 43])
def test_equals_the_package(T, gaussians):
    module = layer(gaussians=gaussians)
    x = torch.randn(2, T, D, requires_grad=True)
    peer = package(module)
    out, (weights, *_) = module(x).out, peer(x, return_attention_details=True)[1:]
    assert_same(out, peer(x), {"x": x})
    assert_close(module.weigh(x, module.parts(torch.ones(2, T) > 0).float()), weights)
    ours = torch.autograd.grad(out.square().sum(), (module.delta, module.c))
    theirs = torch.autograd.grad(peer(x).square().sum(), list(peer.parameters()))
    assert_close(ours[0], torch.stack(theirs[0::2]), **TOLERANCE)
    assert_close(ours[1], torch.stack(theirs[1::2]), **TOLERANCE)


def test_where_the_package_bounds_the_sum_ours_still_sums_to_one():
    module, x = layer(gaussians=1), torch.randn(1, 12, D)
    module.delta.data.fill_(30.0)  # far from all frames
    module.c.data.fill_(0.5)
    theirs = package(module)(x, return_attention_details=True)[1].unflatten(1, (H, 3)).sum(dim=2)
    assert theirs.max() < 0.5
    rows = module(x, need_weights=True).weights
    assert_close(rows.sum(dim=-1), torch.ones(1, H, 12))


def test_a_product_of_gaussians_is_one_gaussian():
    many, one, x = layer(), layer(gaussians=1), torch.randn(1, 23, D)
    precisions = many.c.detach() ** -2
    one.c.data = precisions.sum(dim=1, keepdim=True) ** -0.5
    one.delta.data = (precisions * many.delta.detach()).sum(dim=1, keepdim=True)
    one.delta.data /= precisions.sum(dim=1, keepdim=True)
    assert_close(many(x).out, one(x).out, **TOLERANCE)


def test_what_is_near_the_mean_of_its_head_is_kept_and_the_rest_is_damped():
    module = layer(gaussians=1)
    module.delta.data.zero_()
    module.c.data.fill_(0.3)
    x = torch.ones(1, 20, D)
    x[:, ::5] = 4.0  # one of the five frames of every head
    out = module(x).out / x
    assert out[:, ::5].max() < 1e-3 < out[:, 1::5].min()
    assert_close(out.unflatten(1, (H, 5)).sum(dim=2), torch.ones(1, H, D))


def test_heads_divide_the_frames_that_are_seen():
    module, T = layer(), 11
    mask = torch.arange(T) < torch.tensor([11, 5, 2, 0])[:, None]
    weights = module(torch.randn(4, T, D), mask=mask, need_weights=True).weights[:, :, 0]
    assert weights.count_nonzero(dim=-1).tolist() == [
        [2, 2, 2, 5], [1, 1, 1, 2], [1, 1, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert weights[0, 3, :6].count_nonzero() == 0


def test_values_that_hardly_differ_and_narrow_widths_are_no_trouble():
    module = layer()
    module.c.data.fill_(1e-3)
    x = torch.ones(1, 23, D) + 1e-6 * torch.randn(1, 23, D)
    x.requires_grad_()
    out = module(x).out
    out.sum().backward()
    assert out.isfinite().all()
    assert all(leaf.grad.isfinite().all() for leaf in (x, *module.parameters()))


def test_it_refuses_another_sequence():
    with pytest.raises(ValueError, match=r"xa: expected None"):
        layer()(torch.randn(1, 9, D), torch.randn(1, 9, D))


def test_of_plain_attention_it_takes_nothing_and_of_its_like_all():
    module, x = layer(), torch.randn(1, 9, D)
    before = module(x).out
    module.adopt(attention.build("whisper", dims=D, heads=H))
    assert torch.equal(module(x).out, before)
    other = layer(seed=1)
    assert not torch.equal(other(x).out, before)
    assert torch.equal(other.adopt(module)(x).out, before)
    with pytest.raises(attention.UnsuitedError, match=r"no place for delta \(4, 1\)"):
        module.adopt(layer(gaussians=1))


def test_a_model_with_it_goes_on_from_weights_of_another():
    sizes = {"n_mels": 8, "n_audio_ctx": 20, "n_audio_state": D, "n_audio_head": H, "n_vocab": 11}
    sizes |= {"n_audio_layer": 1, "n_text_ctx": 9, "n_text_state": D, "n_text_head": H}
    source = models.build("echo", **sizes, n_text_layer=1)
    model = models.build("echo", **sizes, n_text_layer=1, focus="gaussian")
    own = model.encoder.blocks[0].attn.c.clone()
    models.adopt(model, source)
    assert torch.equal(model.encoder.blocks[0].attn.c, own)
    for ours, theirs in ((model.encoder, source.encoder), (model.decoder, source.decoder)):
        assert torch.equal(ours.blocks[-1].attn.query.weight, theirs.blocks[-1].attn.query.weight)
    assert torch.equal(
        model.encoder.blocks[0].mlp[0].weight, source.encoder.blocks[0].mlp[0].weight
    )


def test_a_bad_setting_is_named():
    with pytest.raises(ValueError, match=r"gaussians: expected a positive number, given 0"):
        layer(gaussians=0)
