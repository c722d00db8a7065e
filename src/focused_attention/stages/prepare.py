"""Stage prepare: recordings and texts in data/ to the feature store in features/."""

import argparse
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from focused_attention import corpora
from focused_attention.corpora.manifest import SPLITS, Utterance, assign_splits, normalise
from focused_attention.errors import UserError, run
from focused_attention.params import Prepare, load
from focused_attention.paths import DATA, FEATURES, RESULTS
from focused_attention.results import write_json
from focused_attention.speech import audio, store
from focused_attention.speech.store import Meta, Recording
from focused_attention.speech.tokens import Tokenizer

log = logging.getLogger(__name__)


def read(wanted: dict[str, list[str]]) -> list[Utterance]:
    """Every recording of the corpora and languages that are asked for."""
    utterances = []
    for corpus, languages in wanted.items():
        module = corpora.load(corpus, languages)
        for language in languages:
            folder = DATA / corpus / language
            if not folder.is_dir():
                raise UserError(f"{folder}: no such folder; run `dvc repro data.dvc` to fetch it")
            utterances += module.read(folder, language)
    if not utterances:
        raise UserError("params.yaml: fetch.corpora: no language of any corpus; name one")
    return utterances


def analyse(utterance: Utterance, params: Prepare) -> tuple[float, list[np.ndarray]]:
    """Seconds as recorded, and the features (frames, n_mels) at every speed if there is speech.

    In float64 throughout and then rounded to float16: processors differ in the last digits of a
    sum, which rounding takes away.
    """
    spoken = bool(normalise(utterance.text))
    waveform = audio.decode(utterance.path).astype(np.float64)
    if spoken and not waveform.any():
        raise UserError(
            f"{utterance.path}: the recording is empty, but its text is not; "
            "delete it and run stage fetch again"
        )
    features = []
    for speed in params.speeds if spoken else []:
        trimmed = audio.trim(audio.change_speed(waveform, speed), params.hop)
        mel = audio.log_mel(torch.from_numpy(trimmed), params.n_mels, params.hop)
        features.append(mel.T.numpy().astype(np.float16))
    return len(waveform) / audio.SAMPLE_RATE, features


def analyse_all(
    utterances: Sequence[Utterance], params: Prepare, threads: int
) -> list[tuple[float, list[np.ndarray]]]:
    """`analyse` of every utterance, in their order whatever the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # recordings are short: a thread each is faster, and the sums the same
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda utterance: analyse(utterance, params), utterances))
    finally:
        torch.set_num_threads(before)


def learn_tokenizer(
    utterances: Iterable[Utterance], splits: dict[tuple[str, str], str], params: Prepare
) -> Tokenizer:
    """The tokenizer of the training split's texts and translations."""
    texts, languages = [], {"en"}
    for utterance in utterances:
        languages.add(utterance.language)
        if splits[utterance.corpus, utterance.key] == "train":
            texts += [normalise(utterance.text), normalise(utterance.translation or "")]
    return Tokenizer.train(
        texts, kind=params.tokenizer, size=params.vocabulary, languages=languages
    )


def describe(
    utterance: Utterance,
    split: str,
    seconds: float,
    features: list[np.ndarray],
    tokenizer: Tokenizer,
) -> Recording:
    text = normalise(utterance.text)
    translation = normalise(utterance.translation or "") or None
    return Recording(
        id=utterance.id,
        corpus=utterance.corpus,
        language=utterance.language,
        key=utterance.key,
        speaker=utterance.speaker,
        split=split,
        text=text,
        translation=translation,
        tokens=tuple(tokenizer.encode(text)),
        translation_tokens=translation and tuple(tokenizer.encode(translation)),
        seconds=round(seconds, 6),
        frames=tuple(len(frames) for frames in features),
    )


def summarise(
    utterances: Sequence[Utterance],
    seconds: Sequence[float],
    recordings: Sequence[Recording],
    meta: Meta,
) -> list[dict]:
    """One row per corpus and language: what was published, and what of it has speech and a text."""

    def count(chosen: Sequence[Recording]) -> dict:
        return {
            "recordings": len(chosen),
            "trimmed_minutes": sum(r.frames[0] for r in chosen) * meta.hop / meta.sample_rate / 60,
            "words": sum(len(r.text.split()) for r in chosen),
            "texts": len({r.text for r in chosen}),
        }

    rows = []
    for corpus, language in dict.fromkeys((u.corpus, u.language) for u in utterances):
        published = [
            (u, s)
            for u, s in zip(utterances, seconds, strict=True)
            if (u.corpus, u.language) == (corpus, language)
        ]
        chosen = [r for r in recordings if (r.corpus, r.language) == (corpus, language)]
        row = {
            "corpus": corpus,
            "language": language,
            "licence": published[0][0].licence,
            "speakers": len({u.speaker for u, _ in published if u.speaker}),
            "recordings": len(published),
            "minutes": sum(s for _, s in published) / 60,
            "with_text": len(chosen),
            **{name: value for name, value in count(chosen).items() if name != "recordings"},
            "translated": sum(r.translation is not None for r in chosen),
            "splits": {split: count([r for r in chosen if r.split == split]) for split in SPLITS},
        }
        rows.append(row)
        log.info("%(corpus)s/%(language)s: %(recordings)d recordings, %(minutes).1f min", row)
    return rows


def main(argv: list[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    settings = load()
    params = settings.prepare
    utterances = read(settings.fetch.corpora)
    splits = assign_splits(utterances, dev=params.dev, test=params.test)
    tokenizer = learn_tokenizer(utterances, splits, params)
    analysed = analyse_all(utterances, params, settings.threads)

    meta = Meta(
        sample_rate=audio.SAMPLE_RATE,
        hop=params.hop,
        n_mels=params.n_mels,
        speeds=tuple(params.speeds),
    )
    recordings = [
        describe(utterance, splits[utterance.corpus, utterance.key], seconds, features, tokenizer)
        for utterance, (seconds, features) in zip(utterances, analysed, strict=True)
        if features
    ]
    rows = summarise(utterances, [seconds for seconds, _ in analysed], recordings, meta)
    frames = [frames for _, features in analysed for frames in features]
    store.write(FEATURES, meta, recordings, frames, tokenizer)
    write_json(
        RESULTS / settings.profile / "data.json",
        {"corpora": rows, "vocabulary": tokenizer.size, "tokenizer": tokenizer.kind},
    )


if __name__ == "__main__":
    run(main)
