"""Plans and renders utterances: real recordings of single words, joined on whole frames."""

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from focused_attention.errors import UserError
from focused_attention.params import Tasks
from focused_attention.speech.audio import log_mel, normalise
from focused_attention.speech.store import FeatureStore
from focused_attention.tasks.batches import POOL, Batch, bucketed, shuffled
from focused_attention.tasks.utterances import COMPOSED, DIGITS, TASKS, Utterance, Word

SILENCE = -10.0  # log10 mel power of digital silence, Whisper's floor
NOISE_SECONDS = 30  # of white noise to choose a beginning from
LN10 = math.log(10.0)


def split_of(text: str, dev: float, test: float) -> str:
    """The split of a composed text: a hash of the text, so that no text is in two splits."""
    share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
    return "test" if share < test else "dev" if share < test + dev else "train"


class Composer:
    """Plans and renders utterances of one store; all randomness comes from the generator given."""

    def __init__(self, store: FeatureStore, params: Tasks, *, dev: float, test: float):
        self.store, self.params, self.dev, self.test = store, params, dev, test
        self.frame = store.meta.hop / store.meta.sample_rate  # seconds
        recordings = list(enumerate(store.recordings))
        words = [i for i, r in recordings if r.language == params.language and " " not in r.text]
        longest = params.max_seconds / self.frame
        self.sentences = [
            i for i, r in recordings if " " in r.text and r.frames[0] <= longest and r.tokens
        ]
        self.lexicon = {
            "words": [
                i for i in words if store.recordings[i].frames[0] <= longest / params.words[1]
            ],
            "digits": [i for i in words if store.recordings[i].text in DIGITS],
        }
        missing = DIGITS - {store.recordings[i].text for i in self.lexicon["digits"]}
        if missing and params.language == "en":
            raise UserError(
                f"params.yaml: tasks.language: no recording of {', '.join(sorted(missing))} in "
                f"the feature store; add asterisk: [{params.language}] to fetch.corpora"
            )
        seconds = 2 * params.max_seconds + NOISE_SECONDS  # longer utterances hear it again
        wave = np.random.default_rng(0).standard_normal(int(seconds * store.meta.sample_rate))
        # in float64, then rounded: the same digits on every processor
        mel = log_mel(torch.from_numpy(wave), n_mels=store.meta.n_mels, hop=store.meta.hop)
        noise = torch.exp(mel.T * LN10)
        noise = noise / noise.mean()  # (frames, n_mels) mel power of white noise, mean 1
        self.noise = noise.float()
        self.noise_offsets = int(NOISE_SECONDS / self.frame)

    def compose(
        self, task: str, split: str, rng: np.random.Generator, augment: bool, growth: float = 1.0
    ) -> Utterance:
        """A composed utterance whose text belongs to `split`.

        It has the fewest words at `growth` 0, any number that the task allows at 1.
        """
        low, high = getattr(self.params, task)
        high = low + math.ceil(growth * (high - low))
        lexicon, recordings = self.lexicon[task], self.store.recordings
        while True:
            chosen = [
                lexicon[i] for i in rng.integers(len(lexicon), size=rng.integers(low, high + 1))
            ]
            text = " ".join(recordings[i].text for i in chosen)
            if split_of(text, self.dev, self.test) == split:
                break
        gaps = rng.uniform(*self.params.gap, size=len(chosen) + 1) / self.frame
        tokens = tuple(t for i in chosen for t in recordings[i].tokens)
        language = self.params.language
        gaps = tuple(round(g) for g in gaps)
        return self.vary(task, text, language, text, tokens, tuple(chosen), gaps, rng, augment)

    def recorded(self, task: str, index: int, rng: np.random.Generator, augment: bool) -> Utterance:
        """The utterance of a recorded sentence, to transcribe or to translate."""
        r = self.store.recordings[index]
        text, tokens = (
            (r.text, r.tokens) if task == "transcribe" else (r.translation, r.translation_tokens)
        )
        gap = round(self.params.gap[0] / self.frame)
        return self.vary(task, r.id, r.language, text, tokens, (index,), (gap, gap), rng, augment)

    def vary(
        self, task, id, language, text, tokens, chosen, gaps, rng, augment, **prompt
    ) -> Utterance:
        """Draw the augmentation: speed, gain and, for half of the utterances, white noise."""
        # drawn always, so that the random stream does not depend on `augment`
        speed = int(rng.integers(len(self.store.meta.speeds)))
        gain = float(rng.uniform(-self.params.gain, self.params.gain))
        noisy, noise = rng.random() < 0.5, float(rng.uniform(*self.params.noise))
        offset = int(rng.integers(self.noise_offsets))
        if not augment:
            speed, gain, noisy = 0, 0.0, False
        frames = sum(self.store.recordings[i].frames[speed] for i in chosen) + sum(gaps)
        return Utterance(
            task, id, language, text, tuple(tokens), chosen, gaps, speed, gain,
            noise if noisy else None, offset, frames, **prompt,
        )  # fmt: skip

    def words(self, utterance: Utterance) -> list[Word]:
        """The exact frames of every word of a composed utterance."""
        ends = np.cumsum(
            [
                gap + self.store.recordings[i].frames[utterance.speed]
                for gap, i in zip(utterance.gaps, utterance.recordings, strict=False)
            ]
        )
        return [
            Word(
                self.store.recordings[i].text,
                int(end) - self.store.recordings[i].frames[utterance.speed],
                int(end),
            )
            for i, end in zip(utterance.recordings, ends, strict=True)
        ]

    def render(self, utterance: Utterance) -> Tensor:
        """Log10 mel power of an utterance, (frames, n_mels)."""
        mel = torch.full((utterance.frames, self.store.meta.n_mels), SILENCE)
        start = 0
        for gap, i in zip(utterance.gaps, utterance.recordings, strict=False):
            recording = self.store.features(i, utterance.speed)
            start += gap
            mel[start : start + len(recording)] = torch.from_numpy(recording.astype(np.float32))
            start += len(recording)
        if utterance.noise is not None:  # the powers of unrelated signals add
            power = torch.exp(mel * LN10)
            places = torch.arange(utterance.noise_offset, utterance.noise_offset + len(mel))
            noise = self.noise[places % len(self.noise)]
            power.add_(noise, alpha=float(power.mean()) / 10 ** (utterance.noise / 10))
            torch.log10(power, out=mel)
        return mel.add_(utterance.gain / 10).clamp_(min=SILENCE)

    def prefix(self, utterance: Utterance) -> list[int]:
        """What the decoder is given before it writes."""
        tokenizer = self.store.tokenizer
        return [*tokenizer.prefix(utterance.language, utterance.prompt), *utterance.query]

    def batch(self, utterances: Sequence[Utterance], features: Tensor | None = None) -> Batch:
        """Render and normalise utterances, padded to the longest.

        `features` are those of a batch that sounds the same and differs in what is asked.
        """
        eot = self.store.tokenizer.eot
        features = self.rendered(utterances) if features is None else features
        frames = torch.tensor([u.frames for u in utterances])
        prefixes = [self.prefix(u) for u in utterances]
        n = max(len(p) + len(u.tokens) for p, u in zip(prefixes, utterances, strict=True))
        tokens = torch.full((len(utterances), n), eot)
        targets = torch.full((len(utterances), n), -100)
        heard = [u.tokens if u.heard is None else u.heard for u in utterances]
        text = torch.zeros(len(utterances), max(map(len, heard)), dtype=torch.long)
        for b, (prefix, u) in enumerate(zip(prefixes, utterances, strict=True)):
            row = torch.tensor([*prefix, *u.tokens, eot])
            tokens[b, : len(row) - 1] = row[:-1]
            targets[b, len(prefix) - 1 : len(row) - 1] = row[len(prefix) :]
            targets[b, [len(prefix) - 1 + place for place in u.told]] = -100
            text[b, : len(heard[b])] = torch.tensor(heard[b])
        lengths = torch.tensor([len(one) for one in heard])
        return Batch(features, frames, tokens, targets, text, lengths, list(utterances))

    def rendered(self, utterances: Sequence[Utterance]) -> Tensor:
        """Normalised features, (B, n_mels, F), zero after each utterance's end."""
        # one utterance at a time: too small for PyTorch to ask for threads, which training has
        longest = max(u.frames for u in utterances)
        features = torch.zeros(len(utterances), self.store.meta.n_mels, longest)
        for row, u in zip(features, utterances, strict=True):
            row[:, : u.frames] = normalise(self.render(u)).T
        return features

    def evaluation(self, task: str, split: str, limit: int | None = None) -> list[Utterance]:
        """The utterances on which `task` is evaluated: always the same, unaugmented, no text twice.

        Composed tasks are drawn from a fixed seed; recorded tasks are every sentence of the split.
        """
        rng = np.random.default_rng([TASKS.index(task), ("dev", "test").index(split)])
        if task in COMPOSED:
            if limit is None:
                raise ValueError(f"limit: a number of {task} utterances is needed, given None")
            drawn: dict[str, Utterance] = {}
            for _ in range(20 * limit):
                utterance = self.compose(task, split, rng, augment=False)
                drawn.setdefault(utterance.text, utterance)
                if len(drawn) == limit:
                    break
            return list(drawn.values())
        chosen = [self.recorded(task, i, rng, augment=False) for i in self.of(task, split)]
        return chosen[:limit]

    def of(self, task: str, split: str) -> list[int]:
        """The recorded sentences of a split that have what `task` needs."""
        recordings = self.store.recordings
        return [
            i
            for i in self.sentences
            if recordings[i].split == split
            and (task == "transcribe" or recordings[i].translation_tokens)
        ]

    def training(
        self,
        mixture: dict[str, float],
        batch_seconds: float,
        seed: int | list[int],
        curriculum: int = 0,
    ) -> Iterator[list[Utterance]]:
        """Plans of training batches without end: pools of the mixture, bucketed by length.

        A batch holds at most `batch_seconds` of padded audio. Over the first `curriculum` batches
        compositions grow from the fewest words to all lengths. The sequence depends on the
        arguments alone, so a resumed run skips what it has seen.
        """
        tasks = list(mixture)
        if unknown := [t for t in tasks if t not in TASKS]:
            raise UserError(
                f"params.yaml: train.mixture: unknown task {unknown[0]!r}; "
                f"choose from {', '.join(TASKS)}"
            )
        shares = np.array([mixture[t] for t in tasks]) / sum(mixture.values())
        sentences = {t: self.of(t, "train") for t in tasks if t not in COMPOSED}
        budget = batch_seconds / self.frame
        rng, drawn = np.random.default_rng(seed), 0
        while True:
            growth = min(1.0, drawn / curriculum) if curriculum else 1.0
            pool = []
            for task in rng.choice(len(tasks), size=POOL, p=shares):
                task = tasks[task]
                if task in COMPOSED:
                    pool.append(self.compose(task, "train", rng, True, growth))
                else:
                    index = sentences[task][rng.integers(len(sentences[task]))]
                    pool.append(self.recorded(task, index, rng, augment=True))
            batches = bucketed(pool, budget)
            drawn += len(batches)
            yield from shuffled(batches, rng)
