"""Best and tolerated temperatures of curves whose truth is known, and honest intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from focused_attention.verdicts.lengths import at, best, lowest, slope, tolerated, weights_of

HEATS = [0.25, 0.35, 0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0, 2.83, 4.0]


@given(centre=st.floats(-0.45, 0.45), bend=st.floats(0.01, 10), floor=st.floats(0, 5))
def test_the_vertex_of_a_parabola_is_found(centre, bend, floor):
    curve = floor + bend * (np.log2(HEATS) - centre) ** 2
    assert best(HEATS, curve) == pytest.approx(centre, abs=1e-6)


@pytest.mark.parametrize("form", [{"degree": 3}, {"around": (0.84, 1.19)}], ids=str)
def test_other_forms_find_the_same_of_a_parabola(form):
    curve = 1 + (np.log2(HEATS) - 0.11) ** 2
    assert best(HEATS, curve, **form) == pytest.approx(0.11, abs=1e-3)


@given(centre=st.floats(-1.7, 1.7), bend=st.floats(0.01, 10))
def test_of_all_temperatures_the_vertex_is_found_wherever_it_lies(centre, bend):
    curve = 1 + bend * (np.log2(HEATS) - centre) ** 2
    assert lowest(HEATS, curve) == pytest.approx(centre, abs=1e-6)


def test_at_an_end_of_what_was_tried_the_lowest_is_that_end():
    x = np.log2(HEATS)
    curves = np.stack([x, -x, 0 * x, np.abs(x - 1)])
    assert lowest(HEATS, curves) == pytest.approx([-2, 2, -2, 1], abs=0.01)


def test_what_lies_far_from_the_lowest_does_not_move_it():
    x = np.log2(HEATS)
    curve = (x - 1.0) ** 2
    assert lowest(HEATS, curve + 5 * (x < 0)) == pytest.approx(1.0)
    assert best(HEATS, curve + 5 * (x < 0)) != pytest.approx(1.0, abs=0.3)


def test_without_a_minimum_it_is_the_lower_end():
    x = np.log2(HEATS)
    assert best(HEATS, x) == pytest.approx(np.log2(0.71))
    assert best(HEATS, -x) == pytest.approx(np.log2(1.41))
    assert best(HEATS, -(x**2) + 0.1 * x) == pytest.approx(np.log2(0.71))
    with pytest.raises(ValueError, match=r"expected 3 from 0\.71 to 1\.41"):
        best([0.5, 1.0, 2.0], np.zeros(3))


@pytest.mark.parametrize("true", [-0.16, -0.08, 0.0, 0.05])
def test_a_planted_schedule_is_found_and_none_where_there_is_none(true):
    keys = [275, 350, 500, 750, 1100, 1475]
    centres = true * np.log2(np.array(keys) / 1500)
    curves = 0.3 * (np.log2(HEATS) - centres[:, None]) ** 2
    assert slope(keys, best(HEATS, curves)) == pytest.approx(true, abs=1e-9)
    soft = tolerated(HEATS, curves, softer=True)
    assert np.sign(slope(keys, soft).round(9)) == np.sign(true)


def test_a_tolerance_is_where_the_loss_has_risen_by_the_margin():
    x = np.log2(HEATS)
    rises = 0.2 * np.abs(x)  # 0.1 at half an octave
    for softer, expected in ((True, 0.5), (False, -0.5)):
        assert tolerated(HEATS, rises, softer=softer) == pytest.approx(expected)
        never = tolerated(HEATS, 0 * x, softer=softer)
        assert never == pytest.approx(x[-1] if softer else x[0])


def test_between_temperatures_the_loss_lies_on_a_line():
    curve = np.arange(11.0)
    assert at(HEATS, curve, 1.0) == pytest.approx(5)
    assert at(HEATS, curve, 2**0.25) == pytest.approx(5 + 0.25 / np.log2(1.19), abs=0.02)
    assert at(HEATS, curve, 9.0) == 10


def test_shared_prompts_widen_an_interval():
    rng = np.random.default_rng(0)
    effects = dict(zip("abcdefgh", rng.normal(size=8), strict=True))
    apart = [(f"p{i}",) for i in range(64)]
    shared = [(rng.choice(list(effects)),) for _ in range(64)]
    values = np.array([effects[name] for (name,) in shared])
    wide, narrow = ((weights_of(held, 2000) @ values)[1:].std() for held in (shared, apart))
    assert weights_of(shared, 10)[0] == pytest.approx(np.full(64, 1 / 64))
    assert wide > 1.5 * narrow
    alone = values.std() / 8  # of the mean of 64
    assert narrow == pytest.approx(alone * 3**0.5, rel=0.15)  # drawn twice over: never too narrow
