"""Figures of trained schedules and of the encoder's part, on planted tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from focused_attention import plots
from focused_attention.params import load
from focused_attention.plots.regimes import FILLERS, REGIMES, UNMEASURED
from focused_attention.plots.schedules import APART, LOOKS, apart, effective
from tests.plots import second
from tests.plots.second import ARMS, LENGTHS


def dots(axes) -> dict[str, tuple[float, float]]:
    """Where the dots with intervals stand, by what the legend calls them."""
    found = {}
    for container in axes.containers:
        ((x,), (y,)) = container[0].get_data()
        found[container.get_label()] = (x, y)
    return found


def test_effective_slopes_are_those_of_the_mechanism():
    torch = pytest.importorskip("torch")
    from focused_attention.attention.softmax.scheduled import SCHEDULES, Config, ScheduledAttention

    keys, learned = (165.0, 742.0), -0.1
    assert set(SCHEDULES) == set(LOOKS)
    for name in SCHEDULES:
        config = Config(schedule=name, slope=-0.25, longest=500.0, temp_scale=0.3)
        layer = ScheduledAttention(config, dims=8, heads=2)
        if name == "learned":
            torch.nn.init.constant_(layer.slope, learned)
        if name in ("learned", "scalable"):
            torch.nn.init.constant_(layer.level, 0.7)  # a level is no slope
        heats = [layer.schedule(torch.tensor(n)[None, None, None, None]) for n in keys]
        low, high = (heat.flatten()[0].item() for heat in heats)
        expected = np.log(high / low) / np.log(keys[1] / keys[0])
        row = SimpleNamespace(schedule=name, slope=-0.25, scale=0.3, arm="echo")
        found = effective(row, {"longest": 500.0}, keys, {"echo": learned})
        assert found == pytest.approx(expected, abs=1e-5), name


def test_every_schedule_stands_at_its_slope_with_its_change():
    encoder, cross = second.figures()["schedule_slopes"]().axes
    found, table = dots(encoder), second.schedules()
    changes = 100 * table.drop_duplicates("arm").set_index("arm")["difference"]
    assert found["power, slope −¼"] == pytest.approx(
        (-0.25, changes["echo-encoder-sharper"]), abs=APART
    )
    assert found["power, slope +¼"] == pytest.approx(
        (0.25, changes["echo-encoder-softer"]), abs=APART
    )
    assert found["constant"][0] == pytest.approx(0.0, abs=APART)
    assert len(found) == 6
    assert dots(cross)["learned per head"][0] == pytest.approx(-0.1)
    ends = [line.get_xdata() for line in cross.lines if line.get_linewidth() == 0.8]
    assert any(list(x) == [-0.12, -0.05] for x in ends)  # the interval of the learned slope


def test_published_lines_are_hollow_and_other_fillers_light():
    axes = second.figures()["schedule_slopes"]().axes[0]
    hollow = {c.get_label() for c in axes.containers if c[0].get_markerfacecolor() == "white"}
    assert hollow == {
        "published, longer is sharper, c = 0.5", "published, longer is softer, c = 0.01",
    }  # fmt: skip
    light = [line for line in axes.lines if line.get_alpha() == 0.4]
    assert len(light) == 6 * (len(FILLERS) - 1)


def test_a_slot_without_schedules_says_so():
    table = second.schedules()
    table = table[table["slot"] == "encoder"]
    encoder, cross = plots.schedule_slopes(table, second.learned(), ARMS, 12.5).axes
    assert [text.get_text() for text in cross.texts] == [UNMEASURED]
    assert not encoder.texts


def test_the_papers_own_schedules_can_all_be_drawn():
    arms = load().arms
    scheduled = [
        (name, slot)
        for name, arm in arms.items()
        for slot in ("encoder", "cross")
        if getattr(arm, slot).get("mechanism") == "scheduled"
    ]
    assert len(scheduled) == 20
    for name, slot in scheduled:
        of = getattr(arms[name], slot)
        row = SimpleNamespace(
            schedule=of["schedule"], slope=of.get("slope"), scale=of.get("temp_scale"), arm=name
        )
        found = effective(row, of, (165.0, 742.0), {name: 0.0})
        assert -0.3 < found < 0.4, name


def test_dots_are_moved_apart_and_no_farther():
    places = {"a": 0.0, "b": 0.01, "c": 0.5, "d": 0.005, "e": float("nan")}
    found = apart(places, 0.1)
    assert found == pytest.approx({"a": -0.095, "d": 0.005, "b": 0.105, "c": 0.5})
    assert apart({"a": -0.05, "b": 0.0, "c": 0.12}, 0.1) == pytest.approx(
        {"a": -0.0767, "b": 0.0233, "c": 0.1233}, abs=1e-3
    )


def test_learned_heads_are_drawn_by_seed_with_their_mean():
    slope, other, level, _ = second.figures()["schedule_learned"]().axes
    assert [text.get_text() for text in other.texts] == ["not learned"]
    assert [text.get_text() for text in level.get_xticklabels()] == ["1", "2", "all"]
    (mean,) = (c[0].get_data() for c in slope.containers)
    assert mean == (pytest.approx([2.5]), pytest.approx([-0.1]))
    bars = [line.get_ydata()[0] for line in level.lines if line.get_linewidth() == 1.0]
    assert bars[:2] == pytest.approx([0.015, 0.015])  # of four heads at 0 to 0.03 octaves


def test_windows_have_a_column_for_every_way_they_came_about():
    both = second.figures()["encoder_windows"]().axes
    titles = [axes.get_title(loc="left") for axes in both[:4]]
    assert titles == [
        "trained to 13 s,\nat inference", "trained to 60 s,\nat inference",
        "ALiBi,\nin training", "no positions,\nin training",
    ]  # fmt: skip
    assert len(both) == 2 * 4
    assert len(plots.encoder_windows(second.windows(trained=False)).axes) == 2 * 2
    for line in (container[0] for container in both[0].containers):
        assert line.get_xdata() == pytest.approx(range(4), abs=0.1)  # no window at the right end
    assert [text.get_text() for text in both[-1].get_xticklabels()] == ["4", "16", "64", "all"]


def test_fillers_have_a_row_of_their_own_where_there_are_several():
    table = second.windows(trained=False)
    quiet = table[table["filler"] == "words"].assign(filler="silence")
    axes = plots.encoder_windows(pd.concat([table, quiet])).axes
    assert [axis.get_ylabel().split(",")[0] for axis in axes[::2]] == [
        "among words:\nforced choice right", "at 59 s:\nforced choice right", "spotted",
    ]  # fmt: skip


def test_whose_encoder_it_is_shows_in_the_colour():
    axes = second.figures()["encoder_swapped"]().axes
    assert [axis.get_title(loc="left") for axis in axes] == [look[2] for look in FILLERS.values()]
    lines = {container.get_label(): container[0] for container in axes[0].containers}
    assert len(lines) == len(REGIMES) ** 2  # and none of other arms
    for label, line in lines.items():
        falls = label.startswith("encoder trained to 13 s")
        assert line.get_ydata() == pytest.approx([70, 70, 40 if falls else 70])
        assert len(line.get_xdata()) == len(LENGTHS)
    assert len({line.get_color() for line in lines.values()}) == len(REGIMES)
