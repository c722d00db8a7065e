"""What heating cross-attention does beyond English: losses, what is written, what is translated.

Recordings of joined prompts or lines of each language, padded to 30 seconds as OpenAI does. One is
encoded once, whatever is asked of it. Translations are compared with the corpora's own English
texts. The results hold no text, only counts: texts stay with the corpora and their licences.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from focused_attention import corpora
from focused_attention.corpora.manifest import normalise
from focused_attention.decoding.forced import token_losses
from focused_attention.decoding.openai import write
from focused_attention.errors import UserError
from focused_attention.inference.temperature import temperature
from focused_attention.metrics.error_rates import character_errors
from focused_attention.params import Listen
from focused_attention.paths import DATA
from focused_attention.tasks.joined import Joined, Prompt, deal, prompts
from focused_attention.trials import (
    LANGUAGE,
    SEED,
    WINDOW,
    Trial,
    features,
    given,
    without_times,
)
from focused_attention.trials._translated import bleu_counts, chrf_counts
from focused_attention.trials.writing import errors

COLUMNS = (
    "tokens", "losses", "words", "substitutions", "deletions", "insertions", "characters",
    "character_errors", "prompts", "bleu", "chrf",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Who speaks, and what is asked."""

    corpora: dict[str, list[str]]  # languages of each
    length: float  # seconds of a recording
    temperatures: list[float]  # of losses
    writing: list[float]  # of what is written and translated
    recordings: dict[str, int]  # of a language: losses, writing


@dataclass(frozen=True, slots=True)
class Cell:
    """Recordings of a language, asked one thing: a row.

    `kind` is recordings (what they are, nothing is heard), losses, exchanged (losses of the next
    recording's text), transcribe, or translate.
    """

    corpus: str
    language: str
    kind: str
    temperature: float
    recordings: int


@dataclass(kw_only=True, slots=True)
class Heard:
    """A language's recordings, and what the encoder makes of those that have been asked for."""

    language: str
    pool: dict[str, Prompt]
    english: dict[str, str]  # English texts, by prompt
    dealt: list[Joined]
    encoded: list[Tensor] = field(default_factory=list)  # (1, keys, width) each


class Languages(Trial):
    """A row for every language and thing asked; numbers in the order of recordings."""

    def setup(self) -> None:
        self.listener, self.heard = self.subject.listener, {}
        for languages in self.settings.corpora.values():
            for language in languages:
                self.listener.tokenizer.prefix(language)  # raises where it is not heard

    def cells(self) -> Iterator[Cell]:
        many, few = (self.settings.recordings[name] for name in ("losses", "writing"))
        for corpus, languages in self.settings.corpora.items():
            for language in languages:
                yield Cell(corpus, language, "recordings", 1.0, many)
                for value in self.settings.temperatures:
                    yield Cell(corpus, language, "losses", value, many)
                yield Cell(corpus, language, "exchanged", 1.0, many)
                for task in ("transcribe", "translate")[: 1 if language == LANGUAGE else 2]:
                    for value in self.settings.writing:
                        yield Cell(corpus, language, task, value, few)

    @torch.inference_mode()
    def rows(self, cell: Cell) -> list[dict]:
        own = self.of(cell.corpus, cell.language)
        model, value = self.listener.model, cell.temperature
        with nullcontext() if value == 1 else temperature(model, value, "cross"):
            if cell.kind == "recordings":
                found = {"prompts": listed(joined.prompts for joined in own.dealt)}
            elif cell.kind in ("losses", "exchanged"):
                found = self.losses(own, cell)
            else:
                found = self.written(own, cell)
        about = {"corpus": cell.corpus, "language": cell.language, "kind": cell.kind}
        about |= {"temperature": value, "recordings": cell.recordings}
        return [about | dict.fromkeys(COLUMNS, "") | found]

    def of(self, corpus: str, language: str) -> Heard:
        """The recordings of a language; those of one language are kept at a time."""
        if (corpus, language) not in self.heard:
            pool, english = spoken(self.subject.params.listen, corpus, language)
            count = max(self.settings.recordings.values())
            dealt = deal(pool, self.settings.length, count, SEED)
            own = Heard(language=language, pool=pool, english=english, dealt=dealt)
            self.heard = {(corpus, language): own}
        return self.heard[corpus, language]

    def audio(self, own: Heard, count: int) -> list[Tensor]:
        """The encoder's output of the first recordings, made once."""
        silence = WINDOW - self.settings.length
        for joined in own.dealt[len(own.encoded) : count]:
            mel = features(own.pool, joined, silence)
            own.encoded.append(self.listener.model.encoder(mel).audio)
        return own.encoded[:count]

    def losses(self, own: Heard, cell: Cell) -> dict[str, str]:
        """Tokens and loss a token of every text, or of that of the next recording."""
        dealt = own.dealt[: cell.recordings]
        texts = dealt[1:] + dealt[:1] if cell.kind == "exchanged" else dealt
        decoder, counts, found = self.listener.model.decoder, [], []
        for audio, joined in zip(self.audio(own, cell.recordings), texts, strict=True):
            prefix, text = given(self.listener, joined.text, own.language)
            counts.append(str(len(text)))
            found.append(f"{token_losses(decoder, audio, prefix, text).mean().item():.4f}")
        return {"tokens": " ".join(counts), "losses": " ".join(found)}

    def written(self, own: Heard, cell: Cell) -> dict[str, str]:
        """What is written greedily: its errors, or what scores of a translation are made of."""
        tokenizer, decoder = self.listener.tokenizer, self.listener.model.decoder
        prefix, _ = given(self.listener, "", own.language, cell.kind)
        dealt, audio = own.dealt[: cell.recordings], torch.cat(self.audio(own, cell.recordings))
        rules = without_times(self.listener)
        found = write(decoder, audio, prefix, rules, sot=tokenizer.sot)
        texts = [plain(tokenizer.decode(one.tokens)) for one in found]
        tokens = {"tokens": " ".join(str(len(one.tokens)) for one in found)}
        if cell.kind == "translate":
            meant = [reference(own.english, joined) for joined in dealt]
            bleu, chrf = bleu_counts(texts, meant), chrf_counts(texts, meant)
            return tokens | {"bleu": listed(bleu.tolist()), "chrf": listed(chrf.tolist())}
        counts = []
        for joined, text in zip(dealt, texts, strict=True):
            said, meant = normalise(text), normalise(joined.text)
            wrong, characters = character_errors(meant, said)
            of_characters = {"characters": characters, "character_errors": wrong}
            counts.append(errors(meant, said) | of_characters)
        return tokens | {name: " ".join(str(of[name]) for of in counts) for name in counts[0]}


def spoken(params: Listen, corpus: str, language: str) -> tuple[dict[str, Prompt], dict[str, str]]:
    """The prompts that are joined, and the English text of each, by key.

    Prompts in other languages that have no English text in words are left out.

    Raises UserError for a language that was not fetched.
    """
    folder = DATA / corpus / language
    utterances = corpora.load(corpus, [language]).read(folder, language)
    english = {u.key: u.translation for u in utterances if worded(u.translation or "")}
    if language != LANGUAGE:
        utterances = [u for u in utterances if u.key in english]
    pool = prompts(utterances, words=tuple(params.words), longest=params.longest)
    if not pool:
        raise UserError(
            f"{folder}: no recordings; name {corpus}: [{language}] in params.yaml under "
            "listen.corpora and run stage fetch"
        )
    return pool, english


def worded(text: str) -> bool:
    """Whether a text holds words, and no description of a sound.

    >>> worded("Goodbye."), worded("[beep]"), worded("dash [-]")
    (True, False, False)
    """
    return bool(normalise(text)) and not set(text) & set("[<(")


def reference(english: dict[str, str], joined: Joined) -> str:
    """The English text of a recording."""
    return plain(" ".join(english[key] for key in joined.prompts))


def plain(text: str) -> str:
    """A text in one line, its words a space apart.

    >>> plain(" Press  one or hold.")
    'Press one or hold.'
    """
    return " ".join(text.split())


def listed(recordings: Iterable[Iterable]) -> str:
    """What each recording has, as it stands in a cell of the table.

    >>> listed([[2, 0], [1, 3]])
    '2,0 1,3'
    """
    return " ".join(",".join(str(one) for one in own) for own in recordings)
