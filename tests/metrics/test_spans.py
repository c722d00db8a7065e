"""What the step log records of the focus: for the published modules as for the corrected ones."""

import pytest
import torch
from torch import nn

from focused_attention.attention import build
from focused_attention.metrics.spans import focus, predictor_gradient_norms, watch

CORRECTED, PUBLISHED = ["focused", "hybrid"], ["adaptive_span_published", "hybrid_published"]


@pytest.mark.parametrize("name", CORRECTED + PUBLISHED)
def test_spans_and_temperatures_are_recorded_and_the_output_is_not_changed(name):
    model = nn.Sequential(build(name, dims=16, heads=2))
    x = torch.randn(3, 50, 16)
    plain = model(x).out
    with watch(model) as rows:
        assert torch.equal(model(x).out, plain)
    model(x)
    assert [(row["layer"], row["head"]) for row in rows] == [("0", 0), ("0", 1)]
    assert all(0 < row["span"] < 32 for row in rows)
    assert all(0.5 <= row["temperature"] <= 0.51 for row in rows)  # sharpen_longer=False


def test_masks_and_other_sequences_reach_the_record():
    model = nn.ModuleList([build("focused", dims=16, heads=2, max_span=8)])
    x, xa = torch.randn(2, 5, 16), torch.randn(2, 20, 16)
    mask = torch.arange(20) < torch.tensor([[20], [12]])
    loud = torch.where(mask[..., None], xa, 50.0)
    records = []
    for source in (xa, loud):
        with watch(model) as rows:
            model[0](x, source, mask=mask)
        records.append(rows)
    assert records[0] == records[1]


def test_given_spans_are_keys_and_have_no_predictor():
    settings = {"schedule": "power", "centre": 5.0, "slope": -1.0}
    model = nn.ModuleList([build("scheduled", dims=16, heads=2, cross=True, **settings)])
    x, xa, mask = torch.randn(2, 3, 16), torch.randn(2, 20, 16), torch.arange(20) < 10
    with focus(model) as told:
        model[0](x, xa, mask=mask[None]).out.sum().backward()
    assert told() == {"span": 10.0, "temperature": 0.5}
    assert predictor_gradient_norms(model) == {}


@pytest.mark.parametrize("name", CORRECTED + PUBLISHED)
def test_the_predictors_gradient_is_zero_as_published_and_not_when_corrected(name):
    model = nn.Sequential(build(name, dims=16, heads=2))
    model(torch.randn(3, 50, 16).requires_grad_()).out.square().mean().backward()
    norms = predictor_gradient_norms(model)
    assert norms.keys() == {"0"}
    assert (norms["0"] == 0) == (name in PUBLISHED)
