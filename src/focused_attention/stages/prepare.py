"""Stage prepare: recordings and texts in data/ to the feature store in features/."""

import argparse
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from focused_attention import audio, corpora, store
from focused_attention.corpora.manifest import SPLITS, Utterance, assign_splits, normalise
from focused_attention.errors import run
from focused_attention.params import Prepare, load
from focused_attention.paths import DATA, FEATURES, RESULTS
from focused_attention.store import Meta, Recording
from focused_attention.tokens import Tokenizer

log = logging.getLogger(__name__)


def analyse(utterance: Utterance, params: Prepare) -> tuple[float, list[np.ndarray]]:
    """Seconds of a recording, and its features (frames, n_mels) at every speed if it has a text."""
    waveform = audio.decode(utterance.path)
    features = []
    for speed in params.speeds if normalise(utterance.text) else []:
        trimmed = audio.trim(audio.change_speed(waveform, speed), params.hop)
        mel = audio.log_mel(torch.from_numpy(trimmed), params.n_mels, params.hop)
        features.append(mel.T.to(torch.float16).numpy())
    return len(waveform) / audio.SAMPLE_RATE, features


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    all_params = load()
    params = all_params.prepare
    utterances = [
        utterance
        for corpus, languages in all_params.fetch.corpora.items()
        for language in languages
        for utterance in corpora.load(corpus, languages).read(DATA / corpus / language, language)
    ]
    splits = assign_splits(utterances, dev=params.dev, test=params.test)
    torch.set_num_threads(1)
    with ThreadPoolExecutor(all_params.threads) as pool:
        analysed = list(pool.map(lambda u: analyse(u, params), utterances))

    def split_of(u):
        return splits[u.corpus, u.key]

    texts = [
        t
        for u in utterances
        if split_of(u) == "train"
        for t in (normalise(u.text), normalise(u.translation or ""))
    ]
    tokenizer = Tokenizer.train(
        texts,
        kind=params.tokenizer,
        size=params.vocabulary,
        languages=["en", *(u.language for u in utterances)],
    )
    recordings = []
    features = []
    for u, (seconds, f) in zip(utterances, analysed, strict=True):
        if not f:
            continue
        text = normalise(u.text)
        translation = normalise(u.translation or "") or None
        recordings.append(
            Recording(
                id=u.id,
                corpus=u.corpus,
                language=u.language,
                key=u.key,
                speaker=u.speaker,
                split=split_of(u),
                text=text,
                translation=translation,
                tokens=tuple(tokenizer.encode(text)),
                translation_tokens=None
                if translation is None
                else tuple(tokenizer.encode(translation)),
                seconds=round(seconds, 6),
                frames=tuple(len(x) for x in f),
            )
        )
        features += f
    store.write(
        FEATURES,
        Meta(
            sample_rate=audio.SAMPLE_RATE,
            hop=params.hop,
            n_mels=params.n_mels,
            speeds=tuple(params.speeds),
        ),
        recordings,
        features,
        tokenizer,
    )


if __name__ == "__main__":
    run(main)
