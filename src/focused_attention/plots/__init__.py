"""Every figure's drawing code: tidy tables in, matplotlib figures out; a module per notebook.

A notebook calls `start()`, then one function per figure, then `save(fig, name)` for the figures the
paper shows.
"""

from focused_attention.plots.data import corpus, spectrogram
from focused_attention.plots.pilot import curves, error_rates, ratios
from focused_attention.plots.runtime import focus, growth, time_and_memory
from focused_attention.plots.style import (
    MECHANISMS,
    PAGE,
    Style,
    mechanisms,
    save,
    start,
    styles,
    theme,
)

__all__ = [
    "MECHANISMS",
    "PAGE",
    "Style",
    "corpus",
    "curves",
    "error_rates",
    "focus",
    "growth",
    "mechanisms",
    "ratios",
    "save",
    "spectrogram",
    "start",
    "styles",
    "theme",
    "time_and_memory",
]
