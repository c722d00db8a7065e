"""Stage word_times: how far a published Whisper errs in when each word was said.

Strings of single recorded words, whose boundaries are known to 10 ms, are heard as OpenAI's Whisper
hears them, with the text given. The words of `dev` are in no string of `test`: on them heads are
chosen, and biases measured. A string is encoded once and its text given once at each temperature;
all heads and every qk_scale look at the same weights.
"""

import argparse
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from torch import Tensor

from focused_attention import corpora, results
from focused_attention.decoding import published
from focused_attention.decoding.boundaries import begins, edges, forced, pictures
from focused_attention.decoding.windows import Listener
from focused_attention.errors import UserError, run
from focused_attention.inference.temperature import temperature
from focused_attention.params import WordTimes, load
from focused_attention.paths import DATA, RESULTS
from focused_attention.runs import device
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.speech.stream import FRAMES_PER_SECOND, Recording
from focused_attention.tasks.joined import Joined, Prompt, deal, prompts, waveform
from focused_attention.training.journal import progress

CORPUS, LANGUAGE = "asterisk", "en"
LONGEST = 2.0  # seconds of a word
SEED = 2

Sets = Mapping[str, Sequence[int]]  # heads whose pictures are averaged, by name; 0: layer 0, head 0


class Setting(NamedTuple):
    qk_scale: float
    temperature: float


AS_IT_IS = Setting(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class String:
    """Words in a row, encoded."""

    joined: Joined
    audio: Tensor  # (1, S, D)
    words: list[list[int]]  # tokens of each
    truth: np.ndarray  # (words, 2): start and end, seconds


class Look(NamedTuple):
    """What some heads made of one string."""

    setting: Setting
    heads: str
    loss: float  # nats a token, text and its end
    errors: np.ndarray  # (words, 2): start and end less the true ones, whole ms


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a published checkpoint, tiny.en or base")
    args = parser.parse_args(argv)
    params = load()
    device.prepare(params.threads, device.NATIVE)
    listener = published.listener(args.model)
    asked = params.word_times
    pools = split_words(single_words(), asked.dev)
    total = len(asked.lengths) * (2 * asked.strings["dev"] + asked.strings["test"])
    bar = progress(total, 0, f"word_times {args.model}")
    single = {name(listener, i): [i] for i in range(count(listener))}
    alone, dev = Table(), []
    for string in strings(listener, pools["dev"], asked.lengths, asked.strings["dev"], asked.gap):
        alone.add("dev", string, looks(listener, string, {AS_IT_IS: single}))
        dev.append(string)
        bar.update(1)
    sets = chosen(listener, {each: alone.median("dev", each) for each in single})
    planned = {setting: sets for setting in settings(asked)}
    planned[AS_IT_IS] = sets | single
    found = Table()
    test = strings(listener, pools["test"], asked.lengths, asked.strings["test"], asked.gap)
    for split, string in chain((("dev", s) for s in dev), (("test", s) for s in test)):
        found.add(split, string, looks(listener, string, planned))
        bar.update(1)
    bar.close()
    label = RESULTS / params.profile / "word_times" / args.model
    results.write_csv(label.with_name(f"{args.model}.csv"), found.rows(sets))
    results.write_csv(label.with_name(f"{args.model}-strings.csv"), found.strings)
    results.write_csv(label.with_name(f"{args.model}-heads.csv"), by_head(listener, found, sets))


def single_words() -> dict[str, Prompt]:
    """The recordings of one alphabetic word, by key."""
    reader = corpora.load(CORPUS, [LANGUAGE])
    utterances = reader.read(DATA / CORPUS / LANGUAGE, LANGUAGE)
    found = prompts(utterances, words=(1, 1), longest=LONGEST)
    return {key: prompt for key, prompt in found.items() if prompt.text.isalpha()}


def split_words(pool: Mapping[str, Prompt], dev: float) -> dict[str, dict[str, Prompt]]:
    """dev and test, with no word in both: a word's hash says where all its recordings go."""
    split: dict[str, dict[str, Prompt]] = {"dev": {}, "test": {}}
    for key, prompt in pool.items():
        digest = hashlib.sha256(prompt.text.lower().encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        split["dev" if place < dev else "test"][key] = prompt
    return split


def strings(
    listener: Listener,
    pool: Mapping[str, Prompt],
    lengths: Sequence[float],
    number: int,
    gap: Sequence[float],
) -> Iterator[String]:
    """So many strings of every length, encoded.

    Raises UserError for a word that the model's tokens do not keep apart from its neighbours.
    """
    for seconds in lengths:
        for joined in deal(pool, seconds, number, SEED, gaps=tuple(gap)):
            text = listener.tokenizer.encode(f" {joined.text}")
            words = listener.tokenizer.words(text, LANGUAGE)
            if [word.strip() for word, _ in words] != joined.text.split():
                raise UserError(f"{joined.id}: its tokens are other words than '{joined.text}'; "
                                "leave those words out")  # fmt: skip
            recording = Recording.of(waveform(pool, joined), listener.model.dims.n_mels)
            truth = np.stack([joined.starts, joined.ends], axis=1) / SAMPLE_RATE
            yield String(joined, listener.hear(recording, 0), [of for _, of in words], truth)


def settings(asked: WordTimes) -> list[Setting]:
    """Every qk_scale at temperature 1, then every temperature at qk_scale 1."""
    scales = [Setting(scale, 1.0) for scale in asked.qk_scales]
    heats = [Setting(1.0, value) for value in asked.temperatures]
    return list(dict.fromkeys([AS_IT_IS, *scales, *heats]))


def looks(listener: Listener, string: String, planned: Mapping[Setting, Sets]) -> Iterator[Look]:
    """What every set of heads makes of a string in every setting, a forward pass a temperature."""
    model, tokenizer = listener.model, listener.tokenizer
    prefix = tokenizer.prefix(LANGUAGE if tokenizer.multilingual else None)
    text = [token for word in string.words for token in word]
    positions = round(string.joined.seconds * FRAMES_PER_SECOND) // model.downsampling
    for value in dict.fromkeys(setting.temperature for setting in planned):
        with temperature(model, value, "cross") if value != 1 else nullcontext():
            given = forced(model, tokenizer, string.audio, prefix, text, positions=positions)
        loss = given.losses.mean().item()
        for setting, sets in planned.items():
            if setting.temperature != value:
                continue
            needed = sorted({head for heads in sets.values() for head in heads})
            drawn = pictures(given.weights[needed], prefix, setting.qk_scale)
            for which, heads in sets.items():
                picture = drawn[[needed.index(head) for head in heads]].mean(axis=0)
                wrong = edges(string.words, begins(picture)) - string.truth
                yield Look(setting, which, loss, np.rint(1000 * wrong).astype(int))


def chosen(listener: Listener, medians: Mapping[str, float]) -> dict[str, list[int]]:
    """The sets of heads that are compared.

    `published` are the checkpoint's, `chosen` as many that err least alone, `best` the first of
    these.
    """
    told = [head_of(listener, *place) for place in listener.heads]
    order = np.argsort(list(medians.values()), kind="stable")
    return {
        "published": told,
        "chosen": [int(i) for i in order[: len(told)]],
        "best": [int(order[0])],
    }


def count(listener: Listener) -> int:
    """Heads of cross-attention in all layers."""
    return listener.model.dims.n_text_layer * listener.model.dims.n_text_head


def head_of(listener: Listener, layer: int, head: int) -> int:
    return layer * listener.model.dims.n_text_head + head


def name(listener: Listener, head: int) -> str:
    """Layer and head."""
    return "{}-{}".format(*divmod(head, listener.model.dims.n_text_head))


class Table:
    """Errors by split, set of heads, setting and length, string after string."""

    def __init__(self):
        self.strings: list[dict] = []
        self._losses: dict[tuple, list[float]] = {}
        self._errors: dict[tuple, list[np.ndarray]] = {}

    def add(self, split: str, string: String, found: Iterator[Look]) -> None:
        joined, ms = string.joined, np.rint(1000 * string.truth).astype(int)
        self.strings.append(
            {"split": split, "length": joined.seconds, "string": joined.id, "words": joined.text}
            | {"starts": spaced(ms[:, 0]), "ends": spaced(ms[:, 1])}
        )
        for look in found:
            place = (split, look.heads, *look.setting, joined.seconds)
            self._losses.setdefault(place, []).append(look.loss)
            self._errors.setdefault(place, []).append(look.errors)

    def median(self, split: str, heads: str, *, of: slice = slice(None)) -> float:
        """Median absolute error in ms over all lengths, as the model is; of starts, ends or both.

        A string's first start is right in every way through a picture, so it is left out.
        """
        pairs = [
            np.abs(errors).astype(float)
            for (where, which, *setting, _), each in self._errors.items()
            if (where, which, tuple(setting)) == (split, heads, AS_IT_IS)
            for errors in each
        ]
        for pair in pairs:
            pair[0, 0] = np.nan
        return float(np.nanmedian(np.concatenate(pairs)[:, of]))

    def rows(self, sets: Sets) -> list[dict]:
        """A row for every split, set of heads, setting and length."""
        keys = ("split", "heads", "qk_scale", "temperature", "length")
        rows = []
        for place, each in self._errors.items():
            if place[1] in sets:
                starts, ends = np.concatenate(each).T
                about = {"words": len(starts), "loss": float(np.mean(self._losses[place]))}
                errors = {"starts": spaced(starts), "ends": spaced(ends)}
                rows.append(dict(zip(keys, place, strict=True)) | about | errors)
        return rows


def by_head(listener: Listener, found: Table, sets: Sets) -> list[dict]:
    """Every head alone, in ms, and the place it has among the published and the chosen."""
    rows = []
    for head in range(count(listener)):
        which = name(listener, head)
        layer, number = which.split("-")
        row = {"layer": int(layer), "head": int(number)}
        for kind in ("published", "chosen"):
            row[kind] = sets[kind].index(head) + 1 if head in sets[kind] else ""
        for split in ("dev", "test"):
            row[f"{split}_start"] = found.median(split, which, of=slice(0, 1))
            row[f"{split}_end"] = found.median(split, which, of=slice(1, 2))
            row[f"{split}_both"] = found.median(split, which)
        rows.append(row)
    return rows


def spaced(values: np.ndarray) -> str:
    return " ".join(str(value) for value in values.tolist())


if __name__ == "__main__":
    run(main)
