"""The traps of the published focused attention, each measured on the modules as published.

`measure()` returns one row a trap: what the code says, what it does, what that costs, the revision
of the source that has it, and the numbers behind the sentence. Small seeded inputs; the whole takes
about a second.
"""

import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention import attention
from focused_attention.attention import AdaptiveSpanAttention, HybridAttention
from focused_attention.attention.softmax.adaptive_span_published import slide_win

Row = dict[str, object]

PINNED = "8711f54"  # the revision whose text and modules are on trial, 6 February 2025
LATER = "8702055"  # 26 March 2025: the first whose scores go to SDPA without their temperature
AS_TRAINED = 20  # times the weights of a predictor as drawn: how far training could move it

BASE, DIMS, HEADS = 10000.0, 128, 2
K = DIMS // HEADS  # 64, the head width of Whisper


def measure() -> list[Row]:
    """Rows {trap, revision, says, does, cost, numbers}, in the order (i) to (viii)."""
    traps: dict[str, Callable[[], Row]] = {
        "i": sdpa_ignores_the_temperature,
        "ii": scores_are_sharper,
        "iii": toggle_changes_the_level,
        "iv": predictor_is_not_trained,
        "v": window_does_not_slide,
        "vi": batch_is_coupled,
        "vii": arguments_are_ignored,
        "viii": defaults_contradict_the_text,
    }
    rows = []
    for trap, of in traps.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            revision = LATER if trap == "i" else PINNED
            rows.append({"trap": trap, "revision": revision, **of()})
    return rows


def window(scale: float = 1.0, **settings) -> tuple[AdaptiveSpanAttention, Tensor, Tensor]:
    """A published local branch, 48 frames and a span scale."""
    options = {"max_dist": 16, "win_size": 16, "max_span": 16, **settings}
    module = AdaptiveSpanAttention(BASE, DIMS, HEADS, **options)
    return module, 0.3 * torch.randn(1, 48, DIMS), torch.full((1, 1), scale)


def hybrids() -> tuple[HybridAttention, attention.Mechanism]:
    """The published hybrid and the corrected one."""
    published = HybridAttention(BASE, DIMS, HEADS, max_dist=200)
    return published, attention.build("hybrid", dims=DIMS, heads=HEADS)


def slope(scores: Tensor, weights: Tensor) -> float:
    """How many times sharper than `scores` the softmax behind `weights` is, (..., T, S) each."""
    log = weights.log()
    log, scores = (x - x.mean(dim=-1, keepdim=True) for x in (log, scores))
    return float((log * scores).sum() / (scores * scores).sum())


def sdpa_ignores_the_temperature() -> Row:
    """Trap (i), on the two lines that the later revision's file runs by default."""
    q, k = torch.randn(2, 1, HEADS, 48, K).unbind()
    values = torch.eye(48).expand(1, HEADS, 48, 48)  # the output is then the weights

    def branch(temperature: float) -> Tensor:
        """SDPA is called with neither the temperature nor the scale already applied."""
        return F.scaled_dot_product_attention(q * K**-0.25, k * K**-0.25, values)

    effective = 1 / slope(q @ k.mT * K**-0.5, branch(1.0))
    change = float((branch(0.5) - branch(2.0)).abs().max())
    return {
        "says": f"in the later revision {LATER}: scores are divided by the temperature",
        "does": "by default SDPA is called, which never receives the temperature; queries and keys "
        "of the global branch are scaled before, and SDPA scales them again (two of its lines, "
        "written again: the file itself uses NumPy without importing it)",
        "cost": f"no temperature has any effect, and the global branch runs at {effective:.2g} "
        "times the standard temperature",
        "numbers": {
            "output_change_for_any_temperature": change,
            "effective_temperature_of_global_branch": effective,
            "head_width": K,
        },
    }


def scores_are_sharper() -> Row:
    module, x, scale = window(sharpen_longer=True)  # span scale 1: the temperature is 1
    x = x[:, :16]
    _, weights = module(x, x, x, scale)
    heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
    sharper = slope(heads @ heads.mT * K**-0.5, weights)
    white = F.layer_norm(x, (DIMS,))  # independent frames of unit variance
    itself = 100 * float(module(white, white, white, scale)[1].diagonal(dim1=2, dim2=3).mean())
    return {
        "says": "attention at a temperature of about 1, or of about 0.5",
        "does": "compares unprojected inputs, and scales by the fourth root of the head width once",
        "cost": f"{sharper:.2f} times sharper than standard attention before any temperature: "
        f"effective temperatures of {1 / sharper:.3f} and {0.5 / sharper:.3f}; a frame matches "
        f"itself best, and among independent frames gives itself {itself:.0f} % of its weight",
        "numbers": {
            "weight_on_itself_percent": itself,
            "sharper_than_standard": sharper,
            "effective_temperature_true": 1 / sharper,
            "effective_temperature_false": 0.5 / sharper,
            "head_width": K,
        },
    }


def toggle_changes_the_level() -> Row:
    scales = torch.linspace(0, 1, 101).tolist()
    ranges = {}
    for name, sharpen_longer in (("true", True), ("false", False)):
        module, _, _ = window(sharpen_longer=sharpen_longer)
        temperatures = [module.temperature(scale) for scale in scales]
        ranges[name] = min(temperatures), max(temperatures)
    by_span = max(high / low - 1 for low, high in ranges.values())
    level = ranges["true"][0] / ranges["false"][1]
    return {
        "says": "sharpen_longer=True is sharper for longer spans, False for shorter ones",
        "does": "True keeps the temperature in [{:.2f}, {:.2f}], False in [{:.2f}, {:.2f}]".format(
            *ranges["true"], *ranges["false"]
        ),
        "cost": f"the toggle moves the temperature by a factor of {level:.2f} or more, the span by "
        f"{100 * by_span:.0f} % at most: False is the sharper setting at every span",
        "numbers": {
            "true_low": ranges["true"][0],
            "true_high": ranges["true"][1],
            "false_low": ranges["false"][0],
            "false_high": ranges["false"][1],
            "largest_change_by_span_percent": 100 * by_span,
            "smallest_change_by_toggle": level,
        },
    }


def predictor_is_not_trained() -> Row:
    published, corrected = hybrids()
    x = torch.randn(2, 120, DIMS)
    published(x).square().mean().backward()
    corrected(x).out.square().mean().backward()
    parameters = dict(published.named_parameters())
    dead = [name for name, parameter in parameters.items() if parameter.grad is None]
    total = sum(parameter.numel() for parameter in parameters.values())
    lost = 100 * sum(parameters[name].numel() for name in dead) / total
    norm = float(corrected.focus.predictor.weight.grad.norm())
    return {
        "says": "the span is predicted, and scaled by a learned parameter",
        "does": "`.item()` cuts the gradient, `span_scale` is never read and the inner attention's "
        "result is thrown away",
        "cost": f"{len(dead)} of {len(parameters)} parameters, {lost:.0f} % of the weights, never "
        "receive a gradient (with our rotary inner attention: the source shows none)",
        "numbers": {
            "without_gradient": dead,
            "parameters_without_gradient_percent": lost,
            "corrected_predictor_gradient_norm": norm,
        },
    }


def window_does_not_slide() -> Row:
    def seen(size: int, span: int) -> Tensor:
        """Which keys each query sees, (T, T) bool, for a window and a span of so many frames."""
        module, x, scale = window(max_span=span, max_dist=min(size, span))
        weights = torch.zeros(1, HEADS, 48, 48)
        with torch.no_grad():
            slide_win(module, x, size, span, scale, weights)
        return (weights > 0).any(dim=1)[0]

    block = torch.arange(48) // 16
    own = block[:, None] == block
    previous = block[:, None] == block + 1
    equal, double = seen(16, 16), seen(16, 32)
    try:
        seen(16, 8)
        raised = ""
    except RuntimeError as error:
        raised = str(error)
    itself = 100 * float(double.diagonal().float().mean())
    return {
        "says": "a window slides over the sequence, and every query sees its span",
        "does": "the keys are cut to their first frames: with max_span = slid_win the windows are "
        "disjoint blocks, with max_span = 2 slid_win a query sees the previous block alone",
        "cost": "no frame sees across the edge of its block, or none after the first block sees "
        "itself; with max_span < slid_win the module raises a shape error",
        "numbers": {
            "equal_sees_only_its_own_block": bool((equal == own).all()),
            "double_sees_only_the_previous_block": bool((double == previous)[16:].all()),
            "double_sees_itself_percent": itself,
            "half_raises": raised,
        },
    }


def batch_is_coupled() -> Row:
    published, corrected = hybrids()
    x = 0.2 * torch.randn(3, 90, DIMS).cumsum(
        dim=1
    )  # frames resemble their neighbours, as in speech
    x, other = x[:2], x[::2]
    mask = torch.arange(90) < torch.tensor([[60], [90]])

    def change(layer: Callable[[Tensor, Tensor | None], Tensor]) -> tuple[float, float]:
        """How far item 0 moves with its neighbour, and with what stands in its padding."""
        with torch.no_grad():
            neighbour = (layer(x, None) - layer(other, None))[0]
            loud = torch.where(mask[..., None], x, 5 * torch.randn_like(x))
            padded = (layer(x, mask) - layer(loud, mask))[0, :60]
        return float(neighbour.abs().max()), float(padded.abs().max())

    with torch.no_grad():
        size = float(published(x).square().mean().sqrt())
    drawn = change(lambda x, mask: published(x, mask=mask))
    with torch.no_grad():
        published.span_pred.linear.weight.mul_(AS_TRAINED)
    moved = change(lambda x, mask: published(x, mask=mask))
    right = change(lambda x, mask: corrected(x, mask=mask).out)
    return {
        "says": "the span is predicted for every item",
        "does": "the mean over the batch is taken, and padding is never masked",
        "cost": f"of outputs of size {size:.2g}, another item moves one by {drawn[0]:.2g}, padding "
        f"by {drawn[1]:.2g}; if the predictor's weights are multiplied by {AS_TRAINED}, by "
        f"{moved[0]:.2g} and {moved[1]:.2g}",
        "numbers": {
            "output_root_mean_square": size,
            "weights_times": AS_TRAINED,
            "change_by_neighbour": moved[0],
            "change_by_padding": moved[1],
            "change_by_neighbour_as_drawn": drawn[0],
            "change_by_padding_as_drawn": drawn[1],
            "corrected_change_by_neighbour": right[0],
            "corrected_change_by_padding": right[1],
        },
    }


def arguments_are_ignored() -> Row:
    published, corrected = hybrids()
    x, xa = torch.randn(2, 90, DIMS), torch.randn(2, 40, DIMS)
    mask = torch.arange(90) < torch.tensor([[60], [90]])
    with torch.no_grad():
        plain = published(x)
        by_mask = float((published(x, mask=mask) - plain).abs().max())
        by_xa = float((published(x, xa=xa, kv_cache={}) - plain).abs().max())
        right = float((corrected(x, mask=mask).out - corrected(x).out)[0, :60].abs().max())
    return {
        "says": "`xa`, `mask` and `kv_cache` are arguments",
        "does": "they are accepted and never read",
        "cost": "no cross-attention, no padding mask and no causal use: the output changes by "
        f"{max(by_mask, by_xa):.0f}",
        "numbers": {
            "change_by_mask": by_mask,
            "change_by_xa": by_xa,
            "corrected_change_by_mask": right,
        },
    }


def defaults_contradict_the_text() -> Row:
    """Trap (viii): what a user who sets nothing runs, and what setting something changes."""
    default = inspect.signature(HybridAttention).parameters["sharpen_longer"].default
    module, x, _ = window()  # sharpen_longer as it comes
    ends = [module.temperature(share) for share in (0.0, 1.0)]
    with torch.no_grad():
        outputs = []
        for size in (8, 64):
            torch.manual_seed(0)
            layer = HybridAttention(BASE, DIMS, HEADS, max_dist=200, win_size=size)
            outputs.append(layer(x))
    by_size = float((outputs[0] - outputs[1]).abs().max())
    return {
        "says": "long spans should be sharp, the opposite is a toggle away, and windows have "
        "`win_size` frames",
        "does": f"`sharpen_longer` is {default} by default, the opposite of the text; "
        "`HybridAttention` never passes `temp_scale`, which stays "
        f"{module.temp_scale:g}; `win_size` is never read",
        "cost": "whoever sets nothing gets the slope that the text argues against, at the sharper "
        f"level that it argues for, temperatures in [{min(ends):.2f}, {max(ends):.2f}]; the output "
        f"changes by {by_size:g} with `win_size`",
        "numbers": {
            "sharpen_longer_by_default": default,
            "temp_scale_by_default": module.temp_scale,
            "default_low": min(ends),
            "default_high": max(ends),
            "change_by_win_size": by_size,
        },
    }
