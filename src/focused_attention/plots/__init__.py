"""Every figure's drawing code: tidy tables in, matplotlib figures out; a module per notebook.

A notebook calls `start()`, then one function per figure, then `save(fig, name)` for the figures the
paper shows.
"""

from focused_attention.plots.answers import (
    answer_changes,
    answer_kinds,
    answer_lengths,
    best_temperatures,
)
from focused_attention.plots.data import corpus, spectrogram
from focused_attention.plots.effects import effects
from focused_attention.plots.encoder import encoder_swapped, encoder_windows
from focused_attention.plots.entropy import entropy_heads, entropy_length
from focused_attention.plots.example import example
from focused_attention.plots.first import first_length, first_parts, reach
from focused_attention.plots.first_grid import first_grid, settings
from focused_attention.plots.first_optimum import first_optimum
from focused_attention.plots.haystack import missed, of_runs
from focused_attention.plots.hearing import (
    hearing_keys,
    hearing_layers,
    hearing_slots,
    hearing_spared,
)
from focused_attention.plots.languages import languages
from focused_attention.plots.listened import listened
from focused_attention.plots.looking import hidden_keys, looking
from focused_attention.plots.measures import measured
from focused_attention.plots.module import module_losses
from focused_attention.plots.non_speech import non_speech
from focused_attention.plots.overview import overview
from focused_attention.plots.pilot import curves, error_rates, ratios
from focused_attention.plots.regimes import finding
from focused_attention.plots.relations import relation_tree, relations
from focused_attention.plots.replication import (
    of_profiles,
    replication_guesses,
    replication_seeds,
    replication_verdicts,
)
from focused_attention.plots.runtime import focus, growth, time_and_memory
from focused_attention.plots.schedules import schedule_learned, schedule_slopes
from focused_attention.plots.sparsity import sparsity_topk
from focused_attention.plots.spotting import split, spotted
from focused_attention.plots.style import (
    MECHANISMS,
    PAGE,
    Style,
    mechanisms,
    named,
    save,
    start,
    styles,
    theme,
)
from focused_attention.plots.variants import variant_forest, variant_map
from focused_attention.plots.verdicts import checks, judged, verdict
from focused_attention.plots.word_times import heads_by_error, word_errors
from focused_attention.plots.writing import writing

__all__ = [
    "MECHANISMS",
    "PAGE",
    "Style",
    "answer_changes",
    "answer_kinds",
    "answer_lengths",
    "best_temperatures",
    "checks",
    "corpus",
    "curves",
    "effects",
    "encoder_swapped",
    "encoder_windows",
    "entropy_heads",
    "entropy_length",
    "error_rates",
    "example",
    "finding",
    "first_grid",
    "first_length",
    "first_optimum",
    "first_parts",
    "focus",
    "growth",
    "heads_by_error",
    "hearing_keys",
    "hearing_layers",
    "hearing_slots",
    "hearing_spared",
    "hidden_keys",
    "judged",
    "languages",
    "listened",
    "looking",
    "measured",
    "mechanisms",
    "missed",
    "module_losses",
    "named",
    "non_speech",
    "of_profiles",
    "of_runs",
    "overview",
    "ratios",
    "reach",
    "relation_tree",
    "relations",
    "replication_guesses",
    "replication_seeds",
    "replication_verdicts",
    "save",
    "schedule_learned",
    "schedule_slopes",
    "settings",
    "sparsity_topk",
    "spectrogram",
    "split",
    "spotted",
    "start",
    "styles",
    "theme",
    "time_and_memory",
    "variant_forest",
    "variant_map",
    "verdict",
    "word_errors",
    "writing",
]
