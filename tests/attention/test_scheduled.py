"""A temperature that is a given function of the keys that are seen, against a loop over queries."""

import math

import pytest
import torch
from torch.testing import assert_close

from focused_attention import attention
from focused_attention.attention.softmax.scheduled import SCHEDULES
from focused_attention.metrics.sharpness import entropy
from tests.reference.compare import TOLERANCE, assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "power": {"schedule": "power", "centre": 9.0, "slope": -0.7},
    "learned": {"schedule": "learned", "centre": 9.0, "base": 100.0},
    "scalable": {"schedule": "scalable", "centre": 9.0},
    "published": {"schedule": "published_softer", "longest": 20.0, "temp_scale": 0.5},
}

CENTRE, LONGEST, SCALE, SLOPE = 7.0, 8.0, 0.5, 0.6
USES = ["self", "causal", "cross"]


def layer(use="self", seed=0, **settings):
    torch.manual_seed(seed)
    module = attention.build(
        "scheduled", dims=16, heads=2, causal=use == "causal", cross=use == "cross",
        **{"centre": CENTRE, "longest": LONGEST, "temp_scale": SCALE, "slope": SLOPE} | settings,
    )  # fmt: skip
    with torch.no_grad():
        for name in ("level", "slope"):
            if hasattr(module, name):
                getattr(module, name).normal_()
    return module


def padding(lengths, S):
    return torch.arange(S) < torch.tensor(lengths)[:, None]


def formula(module, h, n):
    """The temperature of head h for n keys, as a tensor."""
    n = torch.tensor(float(max(2, n)))
    match module.config.schedule:
        case "constant":
            return torch.tensor(1.0)
        case "power":
            return (n / CENTRE) ** SLOPE
        case "log_n":
            return math.log(CENTRE) / torch.log(n)
        case "scalable":  # scores times s log n
            s = torch.exp(-module.level[h]) / math.log(CENTRE)
            return 1 / (s * torch.log(n))
        case "learned":
            return torch.exp(module.level[h]) * (n / CENTRE) ** module.slope[h]
        case "published_sharper":
            return 1 + SCALE * (1 - min(1.0, n / LONGEST))
        case "published_softer":
            return 0.5 + SCALE * min(1.0, n / LONGEST)


def by_loop(module, x, xa, mask):
    """One query of one head at a time, from the projections on."""
    source = x if xa is None else xa
    (B, T, D), S, H = x.shape, source.shape[1], module.heads
    q = module.query(x).view(B, T, H, -1)
    k, v = (part(source).view(B, S, H, -1) for part in (module.key, module.value))
    rows = []
    for b in range(B):
        for i in range(T):
            seen = [j for j in range(S) if not (module.is_causal and j > i)]
            if mask is not None:
                seen = [j for j in seen if (mask[b, j] if mask.ndim == 2 else mask[b, i, j])]
            heads = []
            for h in range(H):
                t = formula(module, h, len(seen))
                scores = k[b, seen, h] @ q[b, i, h] / math.sqrt(D // H) / t
                heads.append(scores.softmax(dim=0) @ v[b, seen, h])
            rows.append(torch.cat(heads))
    return module.out(torch.stack(rows).view(B, T, D))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("masked", ["none", "keys", "pairs"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_equals_the_loop(schedule, masked, use):
    module = layer(use, schedule=schedule)
    S, T = 13, 5 if use == "cross" else 13
    x = torch.randn(2, T, 16, requires_grad=True)
    xa = torch.randn(2, S, 16, requires_grad=True) if use == "cross" else None
    mask = {
        "none": None,
        "keys": padding((S, 4), S),
        "pairs": (torch.rand(2, T, S) < 0.7) & padding((S, 4), S)[:, None],
    }[masked]
    leaves = {"x": x, **dict(module.named_parameters())} | ({} if xa is None else {"xa": xa})
    expected = by_loop(module, x, xa, mask)
    assert_same(module(x, xa, mask).out, expected, leaves)
    assert_same(module(x, xa, mask, need_weights=True).out, expected, leaves)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("settings", [{"schedule": "constant"}, {"schedule": "learned"}], ids=str)
@pytest.mark.parametrize("plain", ["whisper", "rotary"])
def test_a_neutral_schedule_is_plain_attention_to_the_bit(plain, settings, use):
    torch.manual_seed(3)
    place = {"dims": 16, "heads": 2, "causal": use == "causal", "cross": use == "cross"}
    source = attention.build(plain, **place)
    base = 10000.0 if plain == "rotary" else None
    module = attention.build("scheduled", **place, **settings, base=base).adopt(source)
    x = torch.randn(2, 40, 16)
    xa = torch.randn(2, 50, 16) if use == "cross" else None
    mask = padding((50, 31), 50) if use == "cross" else padding((40, 31), 40)
    assert torch.equal(module(x, xa, mask).out, source(x, xa, mask).out)


@pytest.mark.parametrize("schedule", ["power", "log_n", "scalable", "learned"])
def test_at_the_centre_it_starts_plain_and_scalable_starts_as_log_n(schedule):
    module = attention.build("scheduled", dims=16, heads=2, schedule=schedule, centre=20, slope=0.9)
    at_centre, longer = (module.spans(torch.randn(1, n, 16)).temperature for n in (20, 400))
    assert_close(at_centre, torch.ones(1, 2, 1))
    expected = {"power": 20**0.9, "log_n": 0.5, "scalable": 0.5, "learned": 1.0}[schedule]
    assert_close(longer, torch.full((1, 2, 1), expected))


def test_the_keys_that_are_seen_are_counted_through_masks_and_causality():
    x, xa, mask = torch.randn(2, 4, 16), torch.randn(2, 9, 16), padding((9, 3), 9)
    cross = layer("cross", schedule="power")
    span, temperature = cross.spans(x, xa, mask)
    assert span[:, :, 0].tolist() == [[9.0, 9.0], [3.0, 3.0]]
    assert_close(temperature[:, 0, 0], torch.tensor([(9 / CENTRE) ** SLOPE, (3 / CENTRE) ** SLOPE]))
    assert cross.spans(x, xa, torch.zeros(2, 9, dtype=torch.bool)).span.unique().tolist() == [2.0]
    pairs = torch.ones(2, 4, 9, dtype=torch.bool)
    pairs[0, 1, 4:] = False
    assert cross.spans(x, xa, pairs).span[0, 0].tolist() == [9.0, 4.0, 9.0, 9.0]
    assert layer().spans(xa, mask=mask).span[:, 0].tolist() == [[9.0], [3.0]]
    causal = layer("causal").spans(x).span
    assert causal[0].tolist() == [[2.0, 2.0, 3.0, 4.0]] * 2  # at least 2


@pytest.mark.parametrize("schedule", ["power", "scalable", "published_sharper"])
def test_decoding_with_states_is_tempered_as_the_whole(schedule):
    x, xa, mask = torch.randn(2, 11, 16), torch.randn(2, 9, 16), padding((9, 3), 9)
    causal, cross = (layer(use, schedule=schedule) for use in ("causal", "cross"))
    for module, given in ((causal, (None, None)), (cross, (xa, mask))):
        state = module.new_state()
        parts = [module(part, *given, state=state).out for part in x.split((1, 4, 1, 5), dim=1)]
        assert_close(torch.cat(parts, dim=1), module(x, *given).out, **TOLERANCE)


def test_a_schedule_is_the_temperature_that_could_be_set():
    """Sharper when longer lowers the entropy of long rows, and raises that of short ones."""
    plain, x = layer(schedule="constant"), torch.randn(1, 60, 16)
    for n, sharper in ((60, True), (4, False)):
        near = padding((n,), 60)
        rows = {}
        for name, slope in (("sharper", -0.8), ("plain", 0.0), ("softer", 0.8)):
            module = layer(schedule="power", slope=slope).adopt(plain)
            weights = module(x, mask=near, need_weights=True).weights
            plain.temperature = (n / CENTRE) ** slope
            assert_close(weights, plain(x, mask=near, need_weights=True).weights)
            rows[name] = entropy(weights, near[:, None, None]).mean()
        order = ["sharper", "plain", "softer"] if sharper else ["softer", "plain", "sharper"]
        assert sorted(rows, key=rows.get) == order


def test_the_mean_log_temperature_is_zero_over_planted_rows():
    lengths = torch.randint(20, 900, (500,), generator=torch.Generator().manual_seed(0))
    centre = lengths.double().log().mean().exp().item()
    n = lengths.double().view(-1, 1, 1, 1)

    def mean(**settings):
        return layer(centre=centre, **settings).double().schedule(n).log().mean().item()

    assert mean(schedule="constant") == 0
    for slope in (-1.5, -0.5, 0.5):
        assert mean(schedule="power", slope=slope) == pytest.approx(0, abs=1e-9)
    assert 0 < mean(schedule="log_n") < 0.02  # its log log bends
    learned = layer(schedule="learned", centre=centre).double()
    level = learned.level[:, None, None].expand(2, 1, 1)
    assert_close(learned.schedule(n).log().mean(dim=0).double(), level.double())


@pytest.mark.parametrize(("schedule", "names"), [("scalable", {"level"}),
                                                 ("learned", {"level", "slope"}),
                                                 ("power", set())])  # fmt: skip
def test_what_is_learned_is_trained_in_every_head(schedule, names):
    module = layer(schedule=schedule)
    plain = attention.build("whisper", dims=16, heads=2)
    assert module.state_dict().keys() - plain.state_dict().keys() == names
    module(torch.randn(2, 30, 16)).out.square().mean().backward()
    assert all((getattr(module, name).grad != 0).all() for name in names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "sharp"}, r"schedule: expected one of constant, .*, given 'sharp'"),
        ({"centre": 1.0}, r"centre: expected more than one key, given 1.0"),
        ({"longest": 0}, r"longest: expected a positive number, given 0"),
        ({"temp_scale": -1.0}, r"temp_scale: expected zero or more, given -1.0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layer(**settings)
