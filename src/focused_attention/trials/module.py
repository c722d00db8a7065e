"""The focused attention module in the encoder of a published Whisper, before and after adapting.

Every arm takes the checkpoint's weights over as its mechanism can, is heard as it is, and is then
trained for a few steps on recordings of train prompts: the same batches in the same order for all
arms of a seed. What is measured is what recordings of other prompts cost. The learning rate is
chosen on dev prompts with the first arm, plain attention.

Shape alphabet: B recordings, H heads, S encoder positions, D width.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from focused_attention import models
from focused_attention.attention import UnsuitedError
from focused_attention.corpora.manifest import Utterance, assign_splits, normalise
from focused_attention.decoding.forced import token_losses
from focused_attention.decoding.openai import write
from focused_attention.errors import UserError
from focused_attention.models import SpeechModel
from focused_attention.models.skeleton import Dimensions
from focused_attention.paths import PARAMS
from focused_attention.tasks.joined import Joined, deal
from focused_attention.trials import (
    CORPUS,
    LANGUAGE,
    SEED,
    WINDOW,
    Trial,
    features,
    given,
    speech,
    without_times,
)
from focused_attention.trials._adapting import Batch, adapt, schedule, taught
from focused_attention.trials._knobs import knobs, new_weights
from focused_attention.trials.writing import errors

AFTER = 1.0  # seconds of silence after a recording that is not padded, as in stage listen
TOGETHER = 6  # recordings that are written at once
ENDS = 8  # steps at either end of training whose loss is told
SEEDS = 1000  # added to an arm's seed: of the recordings that it is trained on
LOOKED_AT = 4  # recordings of which spans and temperatures are the mean
SLOTS = ("encoder", "decoder", "cross")
EMPTY = dict.fromkeys(
    (
        "losses", "words", "substitutions", "deletions", "insertions", "tokens", "apart",
        "first_loss", "last_loss", "spans", "temperatures", "local", "prompts", "note",
    ),
    "",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is adapted, how, and what it is asked."""

    arms: dict[str, list[int]]  # seeds of each; the first arm is plain attention
    neutral: dict[str, dict]  # by arm, the settings at which it computes what it takes over
    splits: dict[str, float]  # shares of the prompts: dev, test; the rest is train
    lengths: list[float]  # seconds that are heard; the shortest is trained on
    recordings: dict[str, int]  # of a length, by split: dev, test
    steps: int
    batch: int  # recordings
    rate: float  # the highest learning rate of the adaptation
    rates: list[float]  # that are tried on dev with the first arm and its first seed
    quick: list[str]  # arms that are adapted once more, what is new in them at `train`'s rate


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm in one state."""

    state: str  # neutral, tried (a learning rate, heard on dev alone), adapted, untrained or quick
    arm: str
    seed: int
    rate: float


class Module(Trial):
    """A row for every state of an arm, and for every condition and length in which it is heard."""

    def setup(self) -> None:
        self.listener = self.subject.listener
        self.prefix = given(self.listener, "")[0]
        self.rules = without_times(self.listener)
        self.pool = speech(self.subject.params.listen)
        check(self.settings)
        self.plain = next(iter(self.settings.arms))
        about = {"corpus": CORPUS, "language": LANGUAGE, "translation": None}
        about |= {"speaker": "", "licence": ""}
        said = [
            Utterance(key=key, path=Path(key), text=prompt.text, **about)
            for key, prompt in self.pool.items()
        ]
        placed = assign_splits(said, **self.settings.splits)
        self.split = {
            split: {key: self.pool[key] for (_, key), of in placed.items() if of == split}
            for split in ("train", "dev", "test")
        }
        if empty := [split for split, pool in self.split.items() if not pool]:
            raise UserError(f"{PARAMS}: trials.module.splits: no prompts are left for {empty[0]}")

    def cells(self) -> Iterator[Cell]:
        """Rates first: whether the chosen one is the best is seen before others use it."""
        chosen = self.settings
        first = chosen.arms[self.plain][0]
        for arm in chosen.neutral:
            yield Cell("neutral", arm, first, 0.0)
        for rate in chosen.rates:
            if rate != chosen.rate:
                yield Cell("tried", self.plain, first, rate)
        for arm, seeds in chosen.arms.items():
            for seed in seeds:
                yield Cell("adapted", arm, seed, chosen.rate)
        for arm, seeds in chosen.arms.items():
            yield Cell("untrained", arm, seeds[0], 0.0)
        for arm in chosen.quick:
            yield Cell("quick", arm, chosen.arms[arm][0], chosen.rate)

    def rows(self, cell: Cell) -> list[dict]:
        about = dataclasses.asdict(cell)
        try:
            model = self.taken_over(cell)
        except UnsuitedError as error:
            note = {"note": f"not applicable: {error}"}
            return [about | place("none", "", 0.0, 0) | EMPTY | note]
        plain, short = cell.arm == self.plain, min(self.settings.lengths)
        if cell.state == "neutral":
            apart = {"apart": self.apart(model)}
            return [about | place("dev", "unpadded", short, 1) | EMPTY | apart]
        if cell.state == "untrained":
            return [about | row for row in self.heard(model, written=plain, told=plain)]
        ends = self.adapt(model, cell)
        found = [self.asked(model, "dev", "unpadded", short)]
        if cell.state != "tried":
            found += self.heard(model, written=True)
            if plain:
                found.append(self.asked(model, "test", "exchanged", max(self.settings.lengths)))
        return [about | row | ends for row in found]

    def taken_over(self, cell: Cell) -> SpeechModel:
        """The model of an arm with the checkpoint's weights.

        Raises UserError for an arm of another checkpoint, UnsuitedError for one that cannot.
        """
        arm, whisper = self.subject.params.arm(cell.arm), self.listener.model
        sizes = {f.name: getattr(whisper.dims, f.name) for f in dataclasses.fields(Dimensions)}
        if (arm.checkpoint, arm.heads) != (self.subject.name, sizes["n_audio_head"]):
            raise UserError(
                f"{PARAMS}: arms.{cell.arm}: expected heads: {sizes['n_audio_head']} and start: "
                f"openai/{self.subject.name}, given {arm.heads} and {arm.checkpoint or 'none'}"
            )
        slots = {slot: row for slot in SLOTS if (row := getattr(arm, slot))}
        if cell.state == "neutral" and (settings := self.settings.neutral[cell.arm]):
            slots["encoder"] = slots.get("encoder", {}) | settings
        torch.manual_seed(cell.seed)  # of weights that are new
        try:
            model = models.build(arm.model, **sizes, **slots)
        except ValueError as error:
            raise UserError(f"{PARAMS}: arms.{cell.arm}: {error}") from None
        return models.adopt(model, whisper).eval()

    @torch.inference_mode()
    def apart(self, model: SpeechModel) -> float:
        """How far a token's loss is from the untouched model's, at most.

        It is 0 only if all logits are the same to the bit.
        """
        (joined,) = deal(self.split["dev"], min(self.settings.lengths), 1, SEED)
        mel, text = features(self.pool, joined, AFTER), given(self.listener, joined.text)[1]
        tokens = torch.tensor([[*self.prefix, *text[:-1]]])
        logits = [one(mel, tokens).logits for one in (model, self.listener.model)]
        if torch.equal(*logits):
            return 0.0
        ours, theirs = (of[0, -len(text) :].log_softmax(dim=-1) for of in logits)
        most = (ours - theirs)[torch.arange(len(text)), text].abs().max()
        return max(most.item(), torch.finfo(most.dtype).tiny)

    def adapt(self, model: SpeechModel, cell: Cell) -> dict:
        """Train the model on recordings of train prompts; the loss at first and at last."""
        chosen = self.settings
        count, seconds = chosen.steps * chosen.batch, min(chosen.lengths)
        dealt = deal(self.split["train"], seconds, count, SEEDS + cell.seed)
        batches = (
            self.batch(dealt[start : start + chosen.batch])
            for start in range(0, count, chosen.batch)
        )
        base, source = self.subject.params.train, self.listener.model
        params, more = schedule(base, chosen.steps, cell.rate), {}
        if cell.state == "quick":
            more = {"new": lambda: new_weights(model, source)}
            more["quicker"] = base.learning_rate / cell.rate
        told = adapt(model, batches, params, **more)
        first, last = (sum(some) / len(some) for some in (told[:ENDS], told[-ENDS:]))
        return {"first_loss": round(first, 4), "last_loss": round(last, 4)}

    def batch(self, some: Sequence[Joined]) -> Batch:
        mel = torch.cat([features(self.pool, one, AFTER) for one in some])
        return mel, *taught(self.prefix, [given(self.listener, one.text)[1] for one in some])

    def heard(self, model: SpeechModel, *, written: bool, told: bool = False) -> list[dict]:
        """Rows of test recordings; the longest are also written down, if that is asked for.

        `told`: which prompts they are.
        """
        lengths, found = sorted(self.settings.lengths), []
        for condition, length in [("unpadded", lengths[0]), *(("padded", n) for n in lengths)]:
            last = length == lengths[-1]
            row = self.asked(model, "test", condition, length, written=written and last)
            if last:
                some = self.dealt("test", length)[:LOOKED_AT]
                mels = (features(self.pool, one, WINDOW - length) for one in some)
                for name, values in knobs(model, mels).items():
                    row[name] = " ".join(f"{value:.4f}" for value in values)
            if told:
                dealt = self.dealt("test", length)
                row["prompts"] = " ".join(",".join(one.prompts) for one in dealt)
            found.append(row)
        return found

    def dealt(self, split: str, length: float) -> list[Joined]:
        return deal(self.split[split], length, self.settings.recordings[split], SEED)

    @torch.inference_mode()
    def asked(
        self, model: SpeechModel, split: str, condition: str, length: float, *, written=False
    ) -> dict:
        """The loss a token of every recording heard in one way, and its errors where written.

        `exchanged` is padded, with another recording's text.
        """
        dealt = self.dealt(split, length)
        silence = AFTER if condition == "unpadded" else WINDOW - length
        others = dealt[1:] + dealt[:1] if condition == "exchanged" else dealt
        losses, audios = [], []
        for joined, other in zip(dealt, others, strict=True):
            audio = model.encoder(features(self.pool, joined, silence)).audio  # (1, S, D)
            text = given(self.listener, other.text)[1]
            losses.append(token_losses(model.decoder, audio, self.prefix, text).mean().item())
            audios += [audio] if written else []
        row = place(split, condition, length, len(dealt)) | EMPTY
        row["losses"] = " ".join(f"{loss:.4f}" for loss in losses)
        if written:
            row |= self.errors(model, dealt, audios)
        return row

    def errors(self, model: SpeechModel, dealt: Sequence[Joined], audios: list[Tensor]) -> dict:
        """Words, kinds of errors and tokens of what is written about each recording."""
        tokenizer, found = self.listener.tokenizer, []
        for start in range(0, len(dealt), TOGETHER):
            audio = torch.cat(audios[start : start + TOGETHER])
            told = write(model.decoder, audio, self.prefix, self.rules, sot=tokenizer.sot)
            for joined, one in zip(dealt[start : start + TOGETHER], told, strict=True):
                said = normalise(tokenizer.decode(one.tokens))
                counted = errors(normalise(joined.text), said)
                found.append(counted | {"tokens": len(one.tokens)})
        return {name: " ".join(str(of[name]) for of in found) for name in found[0]}


def check(settings: Settings) -> None:
    """Raise UserError, naming the key, for settings that do not belong together."""
    wrong = None
    if settings.rate not in settings.rates:
        wrong = f"rate: expected one of rates, given {settings.rate:g}"
    elif settings.splits.keys() != {"dev", "test"} or sum(settings.splits.values()) >= 1:
        wrong = f"splits: expected dev and test, less than 1 together, given {settings.splits}"
    elif strange := sorted({*settings.neutral, *settings.quick} - settings.arms.keys()):
        wrong = f"neutral or quick: {strange[0]} is not one of arms"
    elif min(map(len, settings.arms.values()), default=0) == 0:
        wrong = "arms: expected one at least, each with a seed"
    if wrong:
        raise UserError(f"{PARAMS}: trials.module.{wrong}")


def place(split: str, condition: str, length: float, recordings: int) -> dict:
    """What is heard: prompts of a split, in which way, and how many recordings."""
    about = {"split": split, "condition": condition, "length": length}
    return about | {"recordings": recordings}
