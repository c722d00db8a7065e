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
