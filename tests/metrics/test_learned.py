"""What heads have learned of a given span is read off the weights, and is what they then use."""

import pytest
import torch

from focused_attention import models
from focused_attention.metrics.learned import COLUMNS, temperatures

SIZES = {f"n_{of}_{what}": n for of in ("audio", "text")
         for what, n in (("ctx", 20), ("state", 8), ("head", 2), ("layer", 1))}  # fmt: skip
PLACE = SIZES | {"n_mels": 8, "n_vocab": 11}


def read(model):
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    rows = temperatures("echo", 2, weights)
    assert all(tuple(row) == COLUMNS for row in rows)
    return [tuple(row.values())[2:] for row in rows]


def slots(**settings):
    return {slot: {"mechanism": "scheduled"} | of for slot, of in settings.items()}


def test_levels_and_slopes_stand_by_layer_and_head():
    model = models.build("echo", **PLACE, **slots(
        focus={"schedule": "learned"}, encoder={"schedule": "power"}, cross={"schedule": "scalable"}
    ))  # fmt: skip
    first = model.encoder.blocks[0].attn
    first.level.data = torch.tensor([0.5, 2.0]).log()
    first.slope.data = torch.tensor([-0.25, 0.5])
    assert read(model) == [
        ("cross", 0, 0, 1.0, 0.0),
        ("cross", 0, 1, 1.0, 0.0),
        ("encoder", 0, 0, pytest.approx(0.5), -0.25),
        ("encoder", 0, 1, pytest.approx(2.0), 0.5),
    ]


def test_the_temperature_that_is_read_is_that_at_the_centre_and_the_slope_that_beyond():
    for schedule in ("learned", "scalable"):
        of = {"schedule": schedule, "centre": 6.0}
        model = models.build("echo", **PLACE, **slots(cross=of))
        layer = model.decoder.blocks[0].cross_attn
        layer.level.data.normal_()
        if schedule == "learned":
            layer.slope.data.normal_()
        rows = read(model)
        at, beyond = (layer.spans(torch.randn(1, 1, 8), torch.randn(1, n, 8)) for n in (6, 24))
        for head, (*_, temperature, slope) in enumerate(rows):
            assert at.temperature[0, head].item() == pytest.approx(temperature, rel=1e-5)
            if schedule == "learned":
                far = temperature * 4**slope
                assert beyond.temperature[0, head].item() == pytest.approx(far, rel=1e-5)


def test_given_schedules_have_learned_nothing():
    given = {"schedule": "power", "slope": -0.5}
    assert read(models.build("echo", **PLACE, **slots(focus=given, cross={}))) == []


@pytest.mark.parametrize("positions", [1, 3])
def test_of_temperatures_of_single_queries_the_last_is_read(positions):
    settings = {"mechanism": "entropy_temperature", "positions": positions}
    model = models.build("echo", **PLACE, focus=settings)
    level = torch.arange(2 * positions).reshape(2, positions) / 10
    model.encoder.blocks[0].attn.level.data = level
    assert read(model) == [
        ("encoder", 0, head, pytest.approx(level[head, -1].exp().item()), 0.0) for head in (0, 1)
    ]
