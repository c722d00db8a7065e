"""What every figure has to be: labelled, on its page, the same bytes on every run."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from focused_attention import plots


def fits(figure: Figure) -> None:
    """No panel or legend leaves the page, and none lies on another."""
    assert figure.get_size_inches()[0] <= plots.PAGE
    assert figure.get_supxlabel() or any(axes.get_xlabel() for axes in figure.axes)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    for part in shown + figure.legends:
        box = part.get_tightbbox().transformed(figure.transFigure.inverted())
        assert min(box.x0, box.y0) > -0.01, part
        assert max(box.x1, box.y1) < 1.01, part
    for legend in figure.legends:
        top = legend.get_tightbbox().y1
        assert all(axes.get_tightbbox().y0 > top - 1 for axes in shown)


def saved_twice(draw: Callable[[], Figure]) -> bool:
    """Whether two figures drawn one after the other are the same bytes."""
    saved = []
    for _ in range(2):
        plots.save(draw(), "drawn")
        saved.append(Path("paper/figures/drawn.pdf").read_bytes())
    return saved[0] == saved[1]


def markers(axes, marker: str = "o") -> list:
    return [line for line in axes.lines if line.get_marker() == marker]
