"""Speed of models, decoding, features and training against the peers, as ratios in one run.

Ours and the peer do the same work on the same inputs and threads, in turns (A B A B ...), and the
medians are compared. Where the outputs should agree they are compared first, so that nothing quick
and wrong is timed. Writes results/benchmark-speech.json.
"""

import argparse
import dataclasses
import functools
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
import whisper
from torch import Tensor, nn
from torch.testing import assert_close

from focused_attention import models
from focused_attention.decoding.greedy import greedy
from focused_attention.metrics.assessment import assess
from focused_attention.params import load
from focused_attention.paths import FEATURES, RESULTS
from focused_attention.results import write_json
from focused_attention.runs.arm import build_model, of_study, resolve
from focused_attention.runs.device import describe
from focused_attention.speech import audio
from focused_attention.speech.store import FeatureStore
from focused_attention.tasks.compose import Composer
from focused_attention.training.loop import train, update
from focused_attention.training.objective import losses
from focused_attention.training.optimiser import AdamW

THREADS = 2
OUTPUT = RESULTS / "benchmark-speech.json"
log = logging.getLogger(__name__)

TINY = {  # openai-whisper's smallest model
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 384,
    "n_audio_head": 6,
    "n_audio_layer": 4,
    "n_vocab": 51865,
    "n_text_ctx": 448,
    "n_text_state": 384,
    "n_text_head": 6,
    "n_text_layer": 4,
}
QUICK = TINY | {
    "n_audio_state": 32,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_text_state": 32,
    "n_text_head": 2,
    "n_text_layer": 1,
}
PILOT = {  # the arms' own size
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 96,
    "n_audio_head": 16,
    "n_audio_layer": 2,
    "n_vocab": 320,
    "n_text_ctx": 96,
    "n_text_state": 96,
    "n_text_head": 16,
    "n_text_layer": 2,
    "conv_strides": (2, 2),
}


def in_turns(ours: Callable, peer: Callable, rounds: int) -> tuple[float, float]:
    """Median seconds of each, measured A B A B after one unmeasured round."""
    seconds = ([], [])
    for i in range(rounds + 1):
        for one, taken in zip((ours, peer), seconds, strict=True):
            start = time.perf_counter()
            one()
            if i > 0:
                taken.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def slower_than(name: str, target: float, seconds: tuple[float, float], peer: str) -> dict:
    """A row whose ratio is our time over the peer's: at most `target`."""
    ours, theirs = (1000 * s for s in seconds)
    ratio = ours / theirs
    return row(name, ours, theirs, peer, "ms", ratio, f"<= {target}", ratio <= target)


def faster_than(
    name: str, target: float, seconds: tuple[float, float], peer: str, work: float, unit: str
) -> dict:
    """A row whose ratio is our speed over the peer's: at least `target`."""
    ours, theirs = (work / s for s in seconds)
    ratio = ours / theirs
    return row(name, ours, theirs, peer, unit, ratio, f">= {target}", ratio >= target)


def row(name, ours, theirs, peer, unit, ratio, target, holds) -> dict:
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(theirs, 3),
        "peer_version": f"{peer} {version(peer)}",
        "unit": unit,
        "ratio": round(ratio, 3),
        "target": target,
        "holds": holds,
    }


@torch.inference_mode(False)  # a model is made once, not in every measurement
def whispers(dims: dict) -> tuple[nn.Module, nn.Module]:
    """Our Whisper and openai-whisper's, with the same random weights."""
    torch.manual_seed(0)
    theirs = whisper.model.Whisper(whisper.model.ModelDimensions(**dims)).eval()
    nn.init.normal_(theirs.decoder.positional_embedding, std=0.1)
    ours = models.build("whisper", **dims).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


@torch.inference_mode()
def forward(dims: dict, rounds: int) -> dict:
    """Encoder and decoder over 30 seconds and 100 tokens: equal lengths."""
    ours, theirs = whispers(dims)
    mel = torch.randn(1, dims["n_mels"], 3000)
    tokens = torch.randint(dims["n_vocab"], (1, 100))
    assert_close(ours(mel, tokens).logits, theirs(mel, tokens), rtol=0, atol=1e-4)
    seconds = in_turns(lambda: ours(mel, tokens), lambda: theirs(mel, tokens), rounds)
    return slower_than("forward, 30 s and 100 tokens", 1.0, seconds, "openai-whisper")


@torch.inference_mode()
def short_clip(dims: dict, rounds: int) -> dict:
    """From 5 seconds of waveform to the logits of 20 tokens; the peer pads to 30 seconds."""
    ours, theirs = whispers(dims)
    waveform = torch.randn(5 * audio.SAMPLE_RATE) / 10
    tokens = torch.randint(dims["n_vocab"], (1, 20))

    def our_clip():
        return ours(audio.normalise(audio.log_mel(waveform))[None], tokens)

    def their_clip():
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(waveform))
        return theirs(mel[None], tokens)

    seconds = in_turns(our_clip, their_clip, rounds)
    return faster_than("clip of 5 s", 4.0, seconds, "openai-whisper", 1, "clips/s")


@torch.inference_mode()
def decoding(dims: dict, rounds: int, batch: int, n_tokens: int, length: int) -> dict:
    """Greedy decoding, given what each encoder makes of `length` seconds; the peer pads to 30.

    Both choose the same number of tokens; at 30 seconds they hear the same and must choose the same
    tokens.
    """
    ours, theirs = whispers(dims)
    tokenizer = whisper.tokenizer.get_tokenizer(True, num_languages=99, language="en")
    specials = (tokenizer.sot, tokenizer.sot_lm, tokenizer.sot_prev, tokenizer.no_speech)
    suppress = [tokenizer.eot, tokenizer.transcribe, tokenizer.translate, *specials]
    options = whisper.DecodingOptions(
        language="en",
        without_timestamps=True,
        fp16=False,
        sample_len=n_tokens,
        suppress_tokens=suppress,
        suppress_blank=False,
    )
    mel = torch.randn(batch, dims["n_mels"], 100 * length)
    heard = ours.encoder(mel).audio
    padded = theirs.encoder(F.pad(mel, (0, 3000 - mel.shape[-1])))

    def our_tokens():
        prefix = tokenizer.sot_sequence_including_notimestamps
        limits = {"eot": tokenizer.eot, "max_tokens": n_tokens, "suppress": suppress}
        return [list(h.tokens) for h in greedy(ours.decoder, heard, None, prefix, **limits)]

    def their_tokens():
        return [result.tokens for result in theirs.decode(padded, options)]

    given, expected = our_tokens(), their_tokens()
    if list(map(len, given)) != list(map(len, expected)):
        raise AssertionError("greedy: the two decoded another number of tokens")
    if length == 30 and given != expected:
        raise AssertionError(f"greedy: expected {expected}, given {given}")
    seconds = in_turns(our_tokens, their_tokens, rounds)
    name = f"greedy decoding, {length} s, batch {batch}"
    return faster_than(name, 1.5, seconds, "openai-whisper", batch * n_tokens, "tokens/s")


@torch.inference_mode()
def features(rounds: int, length: int) -> dict:
    """Log-mel features of a waveform, normalised."""
    waveform = torch.randn(length * audio.SAMPLE_RATE) / 10

    def ours():
        return audio.normalise(audio.log_mel(waveform))

    def theirs():
        return whisper.log_mel_spectrogram(waveform)

    assert_close(ours(), theirs(), rtol=0, atol=1e-4)
    seconds = in_turns(ours, theirs, rounds)
    return faster_than(
        f"log-mel features, {length} s", 1.5, seconds, "openai-whisper", length, "s/s"
    )


class TorchTransformer(nn.Module):
    """A model of Whisper's sizes built of torch.nn's own layers."""

    def __init__(self, dims: dict):
        super().__init__()
        D, H = dims["n_audio_state"], dims["n_audio_head"]
        first, second = dims["conv_strides"]
        self.conv1 = nn.Conv1d(dims["n_mels"], D, 3, stride=first, padding=1)
        self.conv2 = nn.Conv1d(D, D, 3, stride=second, padding=1)
        layer = {
            "d_model": D,
            "nhead": H,
            "dim_feedforward": 4 * D,
            "dropout": 0.0,
            "activation": "gelu",
            "batch_first": True,
            "norm_first": True,
        }
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**layer),
            dims["n_audio_layer"],
            nn.LayerNorm(D),
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**layer), dims["n_text_layer"], nn.LayerNorm(D)
        )
        self.embedding = nn.Embedding(dims["n_vocab"], D)
        self.text_positions = nn.Parameter(torch.randn(dims["n_text_ctx"], D))
        self.register_buffer("audio_positions", torch.randn(dims["n_audio_ctx"], D))

    def forward(self, mel: Tensor, tokens: Tensor, frames: Tensor) -> Tensor:
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)  # (B, S, D)
        S, L = x.shape[1], tokens.shape[1]
        stride = self.conv1.stride[0] * self.conv2.stride[0]
        padding = torch.arange(S) >= -(-frames[:, None] // stride)
        x = self.encoder(x + self.audio_positions[:S], src_key_padding_mask=padding)
        future = torch.ones(L, L, dtype=torch.bool).triu(1)
        y = self.decoder(
            self.embedding(tokens) + self.text_positions[:L],
            x,
            tgt_mask=future,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        return y @ self.embedding.weight.T


def training_step(dims: dict, rounds: int, batch: int) -> dict:
    """Forward, backward and AdamW on a padded batch of utterances of 3 to 6.4 seconds."""
    torch.manual_seed(0)
    n_frames, n_tokens = 320, 14
    frames = torch.randint(n_frames // 2, n_frames + 1, (batch,))
    frames[0] = n_frames
    mel = torch.randn(batch, dims["n_mels"], n_frames)
    tokens = torch.randint(dims["n_vocab"], (batch, n_tokens))

    def step_of(model: nn.Module, logits: Callable) -> Callable:
        optimiser = torch.optim.AdamW(model.parameters(), fused=True)

        def step():
            optimiser.zero_grad()
            F.cross_entropy(logits(mel, tokens, frames).transpose(1, 2), tokens).backward()
            optimiser.step()

        return step

    ours, peer = models.build("whisper", **dims), TorchTransformer(dims)
    seconds = in_turns(
        step_of(ours, lambda *inputs: ours(*inputs).logits), step_of(peer, peer), rounds
    )
    name = f"training step, {dims['n_audio_head']} heads"
    return slower_than(name, 1.0, seconds, "torch")


def waiting(steps: int) -> dict:
    """The share of the training loop's own steps, as it logs them, spent waiting for data."""
    params = load()
    arm = of_study(resolve(params, params.runs.train.arms[0]), params.train)
    store = FeatureStore.open(FEATURES)
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    short = dataclasses.replace(params.train, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        steps_log = Path(folder, "steps.jsonl")
        train(
            build_model(arm, store),
            composer,
            short,
            plans=composer.training(short.mixture, short.batch_seconds, seed=1),
            dev={},
            assess=assess,
            hardware=torch.device("cpu"),
            path=Path(folder, "state.safetensors"),
            fingerprint="benchmark",
            log=steps_log,
            label="benchmark",
        )
        timings = [json.loads(line) for line in steps_log.read_text().splitlines()]
    settled = timings[len(timings) // 10 :]
    waited, taken = (statistics.mean(t[key] for t in settled) for key in ("wait_ms", "ms"))
    name, share = "waiting for data in a training step", waited / taken
    return row(name, waited, taken, "torch", "ms", share, "<= 0.03", share <= 0.03)


def arms(rounds: int) -> list[dict]:
    """Median milliseconds of a training step of every arm, on one batch, in turns."""
    params, store = load(), FeatureStore.open(FEATURES)
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    settings = params.train
    batch = composer.batch(next(composer.training(settings.mixture, settings.batch_seconds, 1)))
    names = params.runs.train.arms
    steps, taken = {}, {name: [] for name in names}
    for name in names:
        torch.manual_seed(1)
        model = build_model(of_study(resolve(params, name), params.train), store)
        optim = AdamW(model, settings)
        steps[name] = functools.partial(update, model, optim, losses, batch, settings, 1, None)
    for i in range(rounds + 1):
        for name, one in steps.items():
            start = time.perf_counter()
            one()
            if i > 0:
                taken[name].append(time.perf_counter() - start)
    return [
        {"arm": name, "training_ms": round(1000 * statistics.median(seconds), 1)}
        for name, seconds in taken.items()
    ]


def rows(quick: bool) -> list[dict]:
    dims, rounds = (QUICK, 1) if quick else (TINY, 9)
    n_tokens = 4 if quick else 64
    heads = [{"n_audio_head": n, "n_text_head": n} for n in (8, 16)]
    measurements = [
        lambda: forward(dims, rounds),
        lambda: short_clip(dims, rounds),
        *(
            lambda n=n, length=length: decoding(dims, rounds, n, n_tokens, length)
            for length in (30, 10)
            for n in (1, 8)
        ),
        lambda: features(3 * rounds, 30),
        *(lambda n=n: training_step(PILOT | n, 3 * rounds, 16) for n in heads),
    ]
    if FEATURES.exists():
        measurements.append(lambda: waiting(steps=2 if quick else 100))
    else:
        log.warning("%s: no such folder; the row about waiting for data is left out", FEATURES)
    done = []
    for measure in measurements:
        done.append(measure())
        log.info("%(name)s: %(ours)g against %(peer)g %(unit)s, ratio %(ratio)g", done[-1])
    return done


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="small models, one round, no file")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(THREADS)
    measured = rows(options.quick)
    of_arms = arms(1 if options.quick else 15) if FEATURES.exists() else []
    if not options.quick:
        about = {"hardware": describe(torch.device("cpu"), THREADS), "torch": torch.__version__}
        write_json(OUTPUT, about | {"rows": measured, "arms": of_arms})


if __name__ == "__main__":
    main()
