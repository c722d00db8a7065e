"""Where the attention of a published Whisper looks, against length, and how softly at temperatures.

The text is given. Of every row of weights there are what its entropy says and its mass in places of
the recording; a recording's value is the mean over its rows.

Shape alphabet: L layers, H heads, T rows, S positions (tokens in the decoder's self-attention).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from focused_attention.errors import UserError
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.sharpness import entropy, normalise, over_log
from focused_attention.paths import PARAMS
from focused_attention.speech.audio import SAMPLE_RATE
from focused_attention.tasks.joined import Joined, deal
from focused_attention.trials import SEED, WINDOW, Trial, features, given, speech

AFTER = 1.0  # seconds of silence after speech that is not padded, as in stage listen
STEP = SAMPLE_RATE // 50  # samples of an encoder position, 20 ms
AROUND = round(0.2 * SAMPLE_RATE)  # samples either side that are near
MEASURES = (
    "entropy", "share", "support", "first", "last", "between", "after", "own", "near",
)  # fmt: skip
HEATED = ("losses", "entropy", "share")  # what is kept of temperatures other than 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How often, and how closely, is looked."""

    recordings: int  # of a cell
    temperatures: list[float]  # of cross-attention
    every: int  # one in so many of the encoder's rows


@dataclass(frozen=True, slots=True)
class Cell:
    """Recordings that are heard in one way."""

    condition: str  # padded, unpadded or keys
    length: float  # seconds of the recordings
    silence: float  # seconds after them
    recordings: int
    temperatures: tuple[float, ...]
    every: int


class Looking(Trial):
    """Rows of whole slots, with each recording's values, and of single heads, with their means.

    Slot `uniform` is a row of cross-attention that looks everywhere alike.
    """

    def setup(self) -> None:
        """Raises UserError where no row of the encoder is asked for, or temperature 1 is not."""
        where = f"{PARAMS}: trials.looking"
        if self.settings.every < 1:
            raise UserError(f"{where}.every: expected 1 or more, given {self.settings.every}")
        if 1 not in self.settings.temperatures:
            raise UserError(f"{where}.temperatures: expected 1 among them, the untouched model")
        self.pool = speech(self.subject.params.listen)

    def cells(self) -> Iterator[Cell]:
        listen, s = self.subject.params.listen, self.settings
        how = s.recordings, tuple(s.temperatures), s.every
        for condition in listen.conditions:
            if condition == "keys":
                for silence in listen.silences:
                    yield Cell(condition, min(listen.lengths), silence, *how)
                continue
            for length in listen.lengths:
                silence = AFTER if condition == "unpadded" else WINDOW - length
                yield Cell(condition, length, silence, *how)

    @torch.inference_mode()
    def rows(self, cell: Cell) -> list[dict]:
        dealt = deal(self.pool, cell.length, cell.recordings, SEED)
        each = [self.looks(cell, joined) for joined in dealt]
        keys = round((cell.length + cell.silence) * SAMPLE_RATE) // STEP
        about = {"condition": cell.condition, "length": cell.length, "silence": cell.silence}
        prompts = " ".join(",".join(joined.prompts) for joined in dealt)  # of all rows: said once
        rows: list[dict] = []
        for slot, heat in each[0]:
            found = {name: [one[slot, heat].get(name) for one in each] for name in
                     ("losses", *MEASURES)}  # fmt: skip
            kept = HEATED if heat != 1 else tuple(found)
            row = about | {"keys": keys, "slot": slot, "temperature": heat}
            row |= {"layer": "all", "head": "all", "recordings": len(dealt)}
            row |= {name: told(found[name]) if name in kept else "" for name in found}
            rows.append(row | {"prompts": "" if rows else prompts})
            if heat == 1 and slot != "uniform":
                rows += heads(row, found)
        return rows

    def looks(self, cell: Cell, joined: Joined) -> dict[tuple[str, float], dict[str, Tensor]]:
        """By slot and temperature, the measures (L, H) of a recording; its loss a token is (1,)."""
        model, tokenizer = self.subject.listener.model, self.subject.listener.tokenizer
        mel = features(self.pool, joined, cell.silence)
        heard = model.encoder(mel, need_weights=True)
        prefix, text = given(self.subject.listener, joined.text)
        owner = owners(tokenizer, [self.pool[name].text for name in joined.prompts], text[:-1])
        tokens = torch.tensor([[*prefix, *text[:-1]]])
        read = model.decoder.new_cache()  # what cross-attention projects of the audio, made once
        model.decoder(tokens[:, :1], heard.audio, cache=read)
        rows = slice(len(prefix) - 1, len(prefix) - 1 + len(owner))  # those that predict them
        place = places(joined, heard.audio.shape[1])
        seen = at_tokens(place, joined, owner)
        found: dict[tuple[str, float], dict[str, Tensor]] = {}
        for value in cell.temperatures:
            with temperature(model, value, "cross") if value != 1 else nullcontext():
                cache = model.decoder.new_cache()
                cache.cross_attn = read.cross_attn
                output = model.decoder(tokens, heard.audio, cache=cache, need_weights=True)
            logits = output.logits[0, len(prefix) - 1 :].float()
            cross = torch.stack([weights[0, :, rows] for weights in output.weights])
            found["cross", value] = looked(cross, None, seen if value == 1 else {})
            found["cross", value]["losses"] = F.cross_entropy(logits, torch.tensor(text))[None]
            if value == 1:
                own = torch.stack([weights[0, :, rows] for weights in output.self_weights])
                found["decoder", 1.0] = looked(own, *so_far(rows, own.shape[-1]))
                found["uniform", 1.0] = looked(torch.ones_like(cross[:1, :1]), None, seen)
        shown = torch.arange(len(place))[place >= 0][:: cell.every]
        encoder = torch.stack([weights[0][:, shown] for weights in heard.weights])
        found["encoder", 1.0] = looked(encoder, None, at_positions(place, shown))
        return found


def looked(
    weights: Tensor, visible: Tensor | None, masks: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The means over rows of entropy, H over log n, exp H and the mass in places: (L, H) each.

    weights (L, H, T, S), visible (T, S), masks (S,) or (T, S).
    """
    rows = normalise(weights, visible)
    nats = entropy(rows)
    found = {"entropy": nats, "share": over_log(nats, rows.n), "support": nats.exp()}
    for name, mask in masks.items():
        found[name] = torch.einsum("lhts,ts->lht", rows.p, mask.double().expand(rows.p.shape[-2:]))
    return {name: values.nanmean(dim=-1) for name, values in found.items()}


def owners(tokenizer, texts: Sequence[str], tokens: Sequence[int]) -> Tensor:
    """The place of the prompt that each token belongs to, (tokens,).

    Raises ValueError where the prompts' own tokens are not those of the whole.
    """
    parts = [tokenizer.encode(f" {text}") for text in texts]
    if [token for part in parts for token in part] != list(tokens):
        raise ValueError("tokens: prompts have others by themselves than together")
    return torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))


def places(joined: Joined, positions: int) -> Tensor:
    """The prompt in which the middle of each position lies, (S,): -1 between them, -2 after all."""
    middle = torch.arange(positions) * STEP + STEP // 2
    place = torch.full((positions,), -1)
    place[middle >= joined.ends[-1]] = -2
    for i, (start, end) in enumerate(zip(joined.starts, joined.ends, strict=True)):
        place[(middle >= start) & (middle < end)] = i
    return place


def at_tokens(place: Tensor, joined: Joined, owner: Tensor) -> dict[str, Tensor]:
    """The places of a recording, as rows that predict tokens see them."""
    middle = torch.arange(len(place)) * STEP + STEP // 2
    starts, ends = torch.tensor(joined.starts)[owner], torch.tensor(joined.ends)[owner]
    return sound(place) | {
        "own": place == owner[:, None],
        "near": (middle >= starts[:, None] - AROUND) & (middle < ends[:, None] + AROUND),
    }


def at_positions(place: Tensor, shown: Tensor) -> dict[str, Tensor]:
    """The places of a recording, as the encoder's rows `shown` (T,) see them."""
    distance = (torch.arange(len(place)) - shown[:, None]).abs() * STEP
    return sound(place) | {"own": place == place[shown][:, None], "near": distance <= AROUND}


def sound(place: Tensor) -> dict[str, Tensor]:
    number = torch.arange(len(place))
    ends = {"first": number == 0, "last": number == len(place) - 1}
    return ends | {"between": place == -1, "after": place == -2}


def so_far(rows: slice, tokens: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The tokens that the decoder's rows may see, (T, S), and the first and the last of them."""
    number, query = torch.arange(tokens), torch.arange(rows.start, rows.stop)[:, None]
    return number <= query, {"first": number == 0, "last": number == query}


def told(values: Sequence[Tensor | None]) -> str:
    """Each recording's mean over layers and heads; nothing where it was not measured."""
    return "" if values[0] is None else " ".join(f"{of.mean().item():.4g}" for of in values)


def heads(row: Mapping, found: Mapping[str, Sequence[Tensor | None]]) -> Iterator[dict]:
    """A row for every head, with the means over recordings."""
    means = {name: torch.stack(list(values)).mean(dim=0) for name, values in found.items()
             if name in MEASURES and values[0] is not None}  # fmt: skip
    depth, count = means["entropy"].shape
    blank = dict.fromkeys(("losses", *MEASURES, "prompts"), "")
    for layer in range(depth):
        for head in range(count):
            values = {name: f"{of[layer, head].item():.3g}" for name, of in means.items()}
            yield dict(row) | {"layer": layer, "head": head} | blank | values
