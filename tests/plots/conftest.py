"""Every figure here is drawn in the paper's look, and closed after its test."""

import matplotlib as mpl
import pytest

mpl.use("Agg")

from focused_attention import plots


@pytest.fixture(autouse=True)
def theme():
    with mpl.rc_context():
        plots.theme()
        yield
    mpl.pyplot.close("all")


@pytest.fixture
def fits():
    """Asserts that everything drawn lies on a figure that is no wider than the page."""

    def check(figure):
        assert figure.get_size_inches()[0] <= plots.PAGE
        figure.draw_without_rendering()
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        boxes += [legend.get_window_extent() for legend in figure.legends]
        width, height = figure.bbox.size
        for box in boxes:
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1

    return check
