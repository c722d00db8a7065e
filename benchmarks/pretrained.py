"""OpenAI's Whisper in our model against openai-whisper and CTranslate2, with the same weights.

First what is written is compared, on many recordings: tokens, features, logits, times of words.
Then speed, from a waveform to its text, greedily: all arms hear each clip in turns, and an arm's
time is the sum over clips of its median over rounds. Writes results/benchmark-whisper.json.
"""

import argparse
import itertools
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import ctranslate2
import numpy as np
import torch
import whisper
from torch import Tensor

from focused_attention.decoding.forced import heated_losses
from focused_attention.decoding.openai import Written, write
from focused_attention.decoding.published import listener
from focused_attention.decoding.rules import WritingRules
from focused_attention.decoding.windows import Listener
from focused_attention.decoding.word_times import align
from focused_attention.errors import run
from focused_attention.paths import CHECKPOINT_FILES, DATA, RESULTS
from focused_attention.results import read_json, write_json
from focused_attention.runs.device import describe
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.speech.stream import Recording, samples
from focused_attention.speech.whisper_tokens import rules

THREADS = 2
OUTPUT = RESULTS / "benchmark-whisper.json"
WINDOW, SHORT = 3000, 800  # frames: OpenAI's 30 seconds, and a context of 8 for comparing tokens
SILENCE = SAMPLE_RATE  # samples after a clip that is not padded
HEATS = (0.25, 0.35, 0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0, 2.83, 4.0)
TIE = 1e-3  # between two best logits: other arithmetic may choose the other token
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """One checkpoint in our model and in its peers'."""

    name: str
    ears: Listener
    rules: WritingRules
    theirs: whisper.model.Whisper
    prefix: list[int]

    @classmethod
    def open(cls, name: str, positions: int) -> "Pair":
        """openai-whisper gets a context of so many positions; ours takes any length."""
        ears = listener(name, packed=True)
        names = whisper.model.ModelDimensions.__annotations__
        sizes = {key: getattr(ears.model.dims, key) for key in names}
        dims = whisper.model.ModelDimensions(**sizes | {"n_audio_ctx": positions})
        theirs = whisper.model.Whisper(dims).eval()
        state = ears.model.state_dict()
        known = state["encoder.positional_embedding"]
        theirs.load_state_dict(state | {"encoder.positional_embedding": known[:positions]})
        theirs.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
        prefix = [*ears.tokenizer.prefix("en"), ears.tokenizer.no_timestamps]
        writing = WritingRules(ears.tokenizer, rules(CHECKPOINT_FILES / name), timestamps=False)
        return cls(name, ears, writing, theirs, prefix)

    def write(self, audio: Tensor, width: int | None = None) -> Written:
        """Our transcript of encoder output (1, S, D)."""
        options = {"sot": self.ears.tokenizer.sot, "width": width}
        return write(self.ears.decoder, audio, self.prefix, self.rules, **options)[0]

    def options(self, width: int | None = None) -> whisper.DecodingOptions:
        return whisper.DecodingOptions(
            language="en", without_timestamps=True, beam_size=width, fp16=False
        )


def row(name: str, ours: float, theirs: float, peer: str, unit: str, target: str) -> dict:
    """A row whose ratio is ours over the peer's; `target` is ">= 1.3", "<= 1e-4", or "stated"."""
    ratio = ours / theirs
    kind, _, bound = target.partition(" ")
    judged = ours if kind == "<=" else ratio
    holds = {">=": lambda: judged >= float(bound), "<=": lambda: judged <= float(bound)}
    return {
        "name": name,
        "ours": float(f"{ours:.4g}"),
        "peer": float(f"{theirs:.4g}"),
        "peer_version": f"{peer} {version(peer)}",
        "unit": unit,
        "ratio": float(f"{ratio:.4g}"),
        "target": target,
        "holds": bool(holds.get(kind, lambda: True)()),
    }


def prompts(n: int) -> list[np.ndarray]:
    """The waveforms of n English prompts that last 2 to 7 seconds, evenly out of all."""
    found = []
    for file in sorted((DATA / "asterisk" / "en").rglob("*.g722")):
        if 2 <= file.stat().st_size / (SAMPLE_RATE // 2) <= 7:  # G.722 has half a byte a sample
            found.append(file)
    chosen = [found[i * len(found) // n] for i in range(min(n, len(found)))]
    return [np.concatenate(list(samples(file))) for file in chosen]


def clips(seconds: int, n: int) -> list[np.ndarray]:
    """n clips of whole prompts, one after the other, of at most so many seconds."""
    waiting, made = prompts(200)[::-1], []
    while len(made) < n:
        clip = np.zeros(0, np.float32)
        while len(clip) + len(waiting[-1]) <= seconds * SAMPLE_RATE:
            clip = np.concatenate([clip, waiting.pop()])
        if len(clip) < 0.7 * seconds * SAMPLE_RATE:  # the next prompt is too long: leave it out
            waiting.pop()
            continue
        made.append(clip)
    return made


def features(pair: Pair, waveform: np.ndarray, frames: int) -> Tensor:
    """Our features (1, n_mels, frames) of a waveform with silence after it."""
    padded = np.pad(waveform, (0, max(0, 160 * frames - len(waveform))))
    return Recording.of(padded, pair.ears.model.dims.n_mels).window(0, frames)[None]


@torch.inference_mode()
def parity(name: str, n: int, beams: int) -> list[dict]:
    """What is written about n recordings, `beams` of them by beam search too, and how closely."""
    pair = Pair.open(name, SHORT // 2)
    independent = ctranslate2.models.Whisper(
        str(CHECKPOINT_FILES / name),
        device="cpu",
        compute_type="float32",
        intra_threads=torch.get_num_threads(),
    )
    counts = {"greedy": 0, "beam": 0, "ctranslate2": 0, "ties": 0, "times": 0, "words": 0}
    worst = {"log-mel": 0.0, "encoder": 0.0, "logits": 0.0}
    waveforms = prompts(n)
    for i, waveform in enumerate(waveforms):
        mel = features(pair, waveform, SHORT)
        expected = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform, 160 * SHORT))
        audio, theirs = pair.ears.model.encoder(mel).audio, pair.theirs.encoder(mel)
        written = pair.write(audio)
        tokens = [*written.tokens]
        counts["greedy"] += tokens == whisper.decode(pair.theirs, audio, pair.options())[0].tokens
        if i < beams:
            beam = whisper.decode(pair.theirs, audio, pair.options(5))[0].tokens
            counts["beam"] += [*pair.write(audio, 5).tokens] == beam
        text = torch.tensor([[*pair.prefix, *tokens]])
        logits = pair.ears.model.decoder(text, audio).logits
        for key, one, other in (
            ("log-mel", mel[0], expected),
            ("encoder", audio, theirs),
            ("logits", logits, pair.theirs.decoder(text, theirs)),
        ):
            worst[key] = max(worst[key], float((one - other).abs().max()))
        view = ctranslate2.StorageView.from_array(mel.numpy())
        found = independent.generate(view, [pair.prefix], beam_size=1)[0].sequences_ids[0]
        counts["ctranslate2"] += found == tokens
        counts["ties"] += found != tokens and tied(logits[0, len(pair.prefix) - 1 :], tokens, found)
        near, words = times(pair, mel, audio, tokens, len(waveform) // 160)
        counts["times"] += near
        counts["words"] += words
    return parity_rows(name, counts, worst, len(waveforms), min(beams, len(waveforms)))


def tied(logits: Tensor, ours: list[int], theirs: list[int]) -> bool:
    """Whether two transcripts part where our two best logits lie within TIE."""
    pairs = itertools.zip_longest(ours, theirs)
    place = next(i for i, (a, b) in enumerate(pairs) if a != b)
    best = logits[place].topk(2).values
    return bool(best[0] - best[1] < TIE)


def times(
    pair: Pair, mel: Tensor, audio: Tensor, tokens: list[int], frames: int
) -> tuple[int, int]:
    """How many words have times within one position of openai-whisper's, and how many there are."""
    spoken = {"language": "en", "task": "transcribe"}
    peers = whisper.tokenizer.get_tokenizer(pair.ears.tokenizer.multilingual, **spoken)
    expected = whisper.timing.find_alignment(pair.theirs, peers, tokens, mel[0], frames)
    ears, prefix = pair.ears, pair.prefix[:-1]
    found = align(
        ears.model, ears.tokenizer, audio, prefix, tokens, ears.heads, positions=frames // 2
    )
    near = [
        a.text == b.word and max(abs(a.start - b.start), abs(a.end - b.end)) < 0.0201
        for a, b in zip(found.words, expected, strict=True)
    ]
    return sum(near), len(near)


def parity_rows(name: str, counts: dict, worst: dict, n: int, beams: int) -> list[dict]:
    alike, peer = f"{name}, identical", "openai-whisper"
    rows = [
        row(f"{alike} greedy tokens", counts["greedy"], n, peer, "recordings", ">= 1"),
        row(f"{alike} beam tokens", counts["beam"], beams, peer, "recordings", ">= 1"),
        row(
            f"{alike} greedy tokens, but for {counts['ties']} ties within {TIE:g}",
            counts["ctranslate2"] + counts["ties"],
            n,
            "ctranslate2",
            "recordings",
            ">= 1",
        ),
        row(
            f"{name}, word times within 20 ms",
            counts["times"],
            counts["words"],
            peer,
            "words",
            ">= 1",
        ),
    ]
    return rows + [
        row(f"{name}, {key}: largest difference", value, 1.0, peer, "", "<= 1e-4")
        for key, value in worst.items()
    ]


def arms(pair: Pair) -> dict[str, Callable[[np.ndarray], tuple[int, ...]]]:
    """From a waveform to its tokens, by each implementation; padded to 30 seconds or not."""

    def ours(waveform: np.ndarray, padded: bool) -> tuple[int, ...]:
        length = len(waveform) + SILENCE
        mel = features(pair, waveform, WINDOW if padded else length // 160)
        with torch.inference_mode():
            audio = pair.ears.model.encoder(mel).audio
        return pair.write(audio).tokens

    def openai(waveform: np.ndarray) -> tuple[int, ...]:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform))
        return tuple(whisper.decode(pair.theirs, mel, pair.options()).tokens)

    def independent(waveform: np.ndarray, model: ctranslate2.models.Whisper) -> tuple[int, ...]:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform))
        view = ctranslate2.StorageView.from_array(mel[None].numpy())
        return tuple(model.generate(view, [pair.prefix], beam_size=1)[0].sequences_ids[0])

    def opened(kind: str) -> ctranslate2.models.Whisper:
        folder = str(CHECKPOINT_FILES / pair.name)
        return ctranslate2.models.Whisper(
            folder, device="cpu", compute_type=kind, intra_threads=torch.get_num_threads()
        )

    return {
        "padded": partial(ours, padded=True),
        "unpadded": partial(ours, padded=False),
        "openai-whisper": openai,
        "float32": partial(independent, model=opened("float32")),
        "int8": partial(independent, model=opened("int8")),
    }


def speed(name: str, rounds: int, n: int) -> list[dict]:
    """Seconds for n clips of 5 and of 28 seconds; ratios are speeds, ours over the peer's."""
    pair, rows = Pair.open(name, WINDOW // 2), []
    listeners = arms(pair)
    for seconds in (5, 28):
        taken: dict[str, float] = {}
        heard = clips(seconds, n)
        for clip in heard:
            laps: dict[str, list[float]] = {}
            written = {}
            for i in range(rounds + 1):
                for arm, listen in listeners.items():
                    start = time.perf_counter()
                    written[arm] = listen(clip)
                    if i > 0:
                        laps.setdefault(arm, []).append(time.perf_counter() - start)
            if written["padded"] != written["openai-whisper"]:
                raise AssertionError(f"{name}, {seconds} s: not openai-whisper's tokens")
            for arm, times_of in laps.items():
                taken[arm] = taken.get(arm, 0.0) + statistics.median(times_of)
        whole = sum(map(len, heard)) / SAMPLE_RATE
        per_second = {arm: whole / spent for arm, spent in taken.items()}
        for arm, peer, target in TARGETS[seconds]:
            kind = "openai-whisper" if peer == "openai-whisper" else "ctranslate2"
            about = f"{name}, {seconds} s, {arm}, greedy, against {peer}"
            rows.append(row(about, per_second[arm], per_second[peer], kind, "s/s", target))
    return rows


def sweep(name: str, rounds: int) -> list[dict]:
    """The loss of a 28-second text at eleven temperatures against the forward passes alone.

    One pass of the encoder and eleven of the decoder with the same tokens; medians of rounds.
    """
    ears = listener(name)
    mel = features(Pair.open(name, WINDOW // 2), clips(28, 1)[0], WINDOW)
    prefix = [*ears.tokenizer.prefix("en"), ears.tokenizer.no_timestamps]
    text = [*ears.tokenizer.encode(" and" * 80), ears.tokenizer.eot]
    given = torch.tensor([[*prefix, *text[:-1]]])
    laps: dict[str, list[float]] = {"ours": [], "alone": []}
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _, losses in heated_losses(
            ears.model, mel, prefix, text, slot="cross", temperatures=HEATS
        ):
            losses.mean().item()
        middle = time.perf_counter()
        with torch.inference_mode():
            audio = ears.model.encoder(mel).audio
            for _ in HEATS:
                ears.model.decoder(given, audio)
        laps["ours"].append(middle - start)
        laps["alone"].append(time.perf_counter() - middle)
    spent = {arm: statistics.median(taken[1:]) for arm, taken in laps.items()}
    about = f"{name}, loss at {len(HEATS)} temperatures, as a multiple of the forward passes alone"
    return [row(about, spent["ours"] / spent["alone"], 1.0, "torch", "", "<= 1.2")]


TARGETS = {  # our arm, whose clips the peer hears padded, and what is promised
    5: (
        ("unpadded", "openai-whisper", ">= 2"),
        ("padded", "openai-whisper", "stated"),
        ("padded", "float32", "stated"),
        ("padded", "int8", "stated"),
    ),
    28: (
        ("padded", "openai-whisper", ">= 1.3"),
        ("padded", "float32", ">= 0.7"),
        ("padded", "int8", "stated"),
    ),
}


def counted(name: str) -> dict:
    """What 30 seconds cost: operations of the encoder, and bytes that a decoding step reads."""
    d = listener(name).model.dims
    S, D = d.n_audio_ctx, d.n_audio_state
    layer = 2 * S * 12 * D * D + 4 * S * S * D
    convolutions = 2 * 3 * D * (2 * S * d.n_mels + S * D)
    return {
        "model": name,
        "encoder_gflop": round((d.n_audio_layer * layer + convolutions) / 1e9, 1),
        "step_mb_embedding": round(4 * d.n_vocab * D / 1e6, 1),
        "step_mb_blocks": round(4 * d.n_text_layer * 14 * D * D / 1e6, 1),
        "step_mb_keys_and_values": round(4 * d.n_text_layer * 2 * S * D / 1e6, 1),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few recordings, one round, no file")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--models", nargs="+", default=["tiny.en", "base"])
    parser.add_argument("--rounds", type=int, default=5, help="of speed")
    parser.add_argument("--clips", type=int, default=3, help="of each length, for speed")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    n, beams, rounds, many = 100, 30, options.rounds, options.clips
    if options.quick:
        n, beams, rounds, many = 4, 1, 1, 1
    rows = []
    for name in options.models:
        parts = partial(parity, name, n, beams), partial(speed, name, rounds, many)
        for part in (*parts, partial(sweep, name, rounds)):
            for one in part():
                log.info("%(name)s: %(ours)g against %(peer)g %(unit)s, %(target)s", one)
                rows.append(one)
    if not options.quick:
        hardware = describe(torch.device("cpu"), options.threads)
        counts = [counted(name) for name in options.models]
        others = kept(hardware, options.models)
        about = {"hardware": hardware, "torch": torch.__version__}
        counts, rows = others["counts"] + counts, others["rows"] + rows
        write_json(OUTPUT, about | {"counts": counts, "rows": rows})


def kept(hardware: str, models: list[str]) -> dict:
    """What the same hardware was measured to do with other models than these."""
    known = read_json(OUTPUT) if OUTPUT.exists() else {}
    if (known.get("hardware"), known.get("torch")) != (hardware, torch.__version__):
        return {"counts": [], "rows": []}
    own = tuple(f"{name}," for name in models)
    return {
        "counts": [of for of in known["counts"] if of["model"] not in models],
        "rows": [of for of in known["rows"] if not of["name"].startswith(own)],
    }


if __name__ == "__main__":
    run(main)
