"""The published modules: equal to their formulas, with every trap demonstrated by a number."""

import pytest
import torch

from focused_attention.attention import HybridAttention
from focused_attention.metrics import traps
from tests.reference import published
from tests.reference.compare import assert_same

CASES = {  # for test_every_mechanism.py
    "as it comes": {},
    "narrow": {"max_dist": 5, "max_span": 9, "slid_win": 9},
}
BASE = 10000.0


def hybrid(seed=0, dims=16, head=2, max_dist=100, **settings):
    torch.manual_seed(seed)
    module = HybridAttention(BASE, dims, head, max_dist, **settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        module.span_pred.linear.bias.fill_(0.5)
    return module


@pytest.mark.parametrize("sharpen_longer", [False, True])
@pytest.mark.parametrize(
    ("B", "T", "head", "settings"),
    [
        (1, 1, 1, {}),
        (2, 13, 2, {"max_span": 8, "slid_win": 8}),
        (3, 21, 4, {"max_span": 16, "slid_win": 8}),
        (2, 17, 2, {"max_span": 40, "slid_win": 5, "max_dist": 6}),
        (1, 30, 2, {"max_span": 11, "slid_win": 11, "temp_scale": 0.5}),
    ],
    ids=str,
)
def test_equals_the_formulas_forward_and_backward(B, T, head, settings, sharpen_longer):
    module = hybrid(seed=B + T, head=head, sharpen_longer=sharpen_longer, **settings)
    x = torch.randn(B, T, 16, requires_grad=True)
    leaves = {"x": x, **dict(module.named_parameters())}
    assert_same(module(x), published.hybrid(module, x, BASE), leaves)


def test_ignored_arguments_change_nothing():
    module = hybrid()
    x = torch.randn(2, 40, 16)
    mask = torch.arange(40) < torch.tensor([[40], [20]])
    loud = module(x, new_dist=3, new_base=5.0, xa=torch.randn(2, 7, 16), mask=mask, kv_cache={})
    assert torch.equal(loud, module(x))


@pytest.fixture(scope="module")
def rows():
    return {row["trap"]: row for row in traps.measure()}


def test_every_trap_is_measured(rows):
    assert list(rows) == ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii"]
    keys = {"trap", "revision", "says", "does", "cost", "numbers"}
    assert all(row.keys() == keys for row in rows.values())


def test_i_sdpa_ignores_the_temperature(rows):
    numbers = rows["i"]["numbers"]
    assert numbers["output_change_for_any_temperature"] == 0
    assert numbers["effective_temperature_of_global_branch"] == pytest.approx(8)  # sqrt(64)


def test_ii_the_scores_are_sharper_than_standard(rows):
    assert rows["ii"]["numbers"]["sharper_than_standard"] == pytest.approx(64**0.25)


def test_iii_the_toggle_changes_the_level_not_the_slope(rows):
    numbers = rows["iii"]["numbers"]
    assert (numbers["true_low"], numbers["true_high"]) == pytest.approx((1.0, 1.01))
    assert (numbers["false_low"], numbers["false_high"]) == pytest.approx((0.5, 0.51))
    assert numbers["largest_change_by_span_percent"] == pytest.approx(2.0)


def test_iv_the_predictor_is_never_trained(rows):
    numbers = rows["iv"]["numbers"]
    assert set(numbers["without_gradient"]) >= {
        "span_pred.linear.weight",
        "span_pred.linear.bias",
        "attn_local.span_scale",
        "attn_local.multihead_attn.attention.query.weight",
    }
    assert numbers["parameters_without_gradient_percent"] > 35
    assert numbers["corrected_predictor_gradient_norm"] > 0


def test_v_the_window_does_not_slide(rows):
    numbers = rows["v"]["numbers"]
    assert numbers["equal_sees_only_its_own_block"]
    assert numbers["double_sees_only_the_previous_block"]
    assert numbers["double_sees_itself_percent"] < 50
    assert "must match the existing size" in numbers["half_raises"]


def test_vi_the_items_of_a_batch_are_coupled(rows):
    numbers = rows["vi"]["numbers"]
    for weights in ("", "_as_drawn"):  # multiplied, which the row says, and not
        assert numbers[f"change_by_neighbour{weights}"] > 1e-3
        assert numbers[f"change_by_padding{weights}"] > 1e-3
    assert f"multiplied by {numbers['weights_times']}" in rows["vi"]["cost"]
    assert numbers["corrected_change_by_neighbour"] < 1e-5
    assert numbers["corrected_change_by_padding"] < 1e-5


def test_vii_arguments_are_ignored(rows):
    numbers = rows["vii"]["numbers"]
    assert numbers["change_by_mask"] == 0
    assert numbers["change_by_xa"] == 0
    assert numbers["corrected_change_by_mask"] > 1e-3


def test_viii_defaults_contradict_the_text(rows):
    numbers = rows["viii"]["numbers"]
    assert numbers["sharpen_longer_by_default"] is False
    assert (numbers["default_low"], numbers["default_high"]) == pytest.approx((0.5, 0.51))
    assert numbers["temp_scale_by_default"] == 0.01
    assert numbers["change_by_win_size"] == 0
