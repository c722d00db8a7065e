"""Settings of the stages that listen with published Whispers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """What published Whispers hear, and the temperatures at which they do."""

    models: list[str]
    slots: list[str]
    corpora: dict[str, list[str]]  # languages of corpora that are fetched for them alone
    words: list[int]  # fewest and most of a prompt
    longest: float  # seconds of a prompt
    conditions: list[str]  # padded, unpadded, keys
    others: list[str]  # those of other models than the first
    lengths: list[float]  # seconds of a recording
    silences: list[float]  # seconds after the shortest one: `keys`
    temperatures: list[float]
    # of a cell, by slot; `single`: of single layers, `single-SLOT`: of a slot's; by model: at most
    recordings: dict[str, int]
    single_lengths: list[float]
    single_temperatures: list[float]
    techniques: list[dict]  # {technique, slot, settings}: what else is done, at the longest
    technique_temperatures: list[float]
    resamples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WordTimes:
    """Strings of single words, whose times published Whispers tell."""

    models: list[str]
    dev: float  # share of the words, which choose heads and measure biases
    gap: list[float]  # seconds between words
    lengths: list[float]  # seconds of a string
    strings: dict[str, int]  # of a length, by split: dev, test
    qk_scales: list[float]  # of the weights that are looked at, at temperature 1
    temperatures: list[float]  # of cross-attention while the text is given, at qk_scale 1
