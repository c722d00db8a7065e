"""What every stage that runs a model begins with: its arm, the data, the hardware, the model.

Arms are trained for a study: `train` is the recognition of speech, whose section of params.yaml,
runs and results have that name.
"""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from focused_attention import regularisers, sources
from focused_attention.errors import UserError
from focused_attention.models import SpeechModel
from focused_attention.params import Params, Train, load
from focused_attention.paths import FEATURES, RUNS
from focused_attention.regularisers import Regulariser
from focused_attention.runs import device, weights
from focused_attention.runs.arm import build_model, of_study, resolve, trained_by
from focused_attention.speech.store import FeatureStore
from focused_attention.tasks.batches import Batch, bucketed
from focused_attention.tasks.compose import Composer
from focused_attention.tasks.utterances import Utterance

STARTED = 1  # beside the seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One arm with one seed in one study."""

    study: str  # section of params.yaml
    params: Params
    arm: dict  # resolved, as the study trains it
    seed: int
    composer: Composer
    hardware: torch.device
    model: SpeechModel  # as initialised, on the CPU
    regularisers: Sequence[Regulariser] = ()  # of the arm, in their order

    @property
    def run(self) -> str:
        """The name of the run's files."""
        return f"{self.arm['arm']}-{self.seed}"

    @property
    def training(self) -> Train:
        """How the arm is trained: as the section of its stage says, in its own steps if it has."""
        section = getattr(self.params, self.stage)
        return dataclasses.replace(section, steps=self.arm.get("steps", section.steps))

    @property
    def stage(self) -> str:
        """The stage that trains the arm."""
        return trained_by(self.arm, self.study)

    @property
    def draws(self) -> int | list[int]:
        """The seed of the training utterances; others than those that a start has learnt from."""
        return [self.seed, STARTED] if "start" in self.arm else self.seed

    def prepare(self) -> SpeechModel:
        """The session's model, once its regularisers have prepared it; to be called once."""
        for regulariser in self.regularisers:
            regulariser.prepare(self.model)
        return self.model

    def file(self, folder: Path, ending: str) -> Path:
        """The run's file with this ending in `folder`, one of paths.py."""
        return folder / self.params.profile / self.study / f"{self.run}{ending}"

    @property
    def weights(self) -> Path:
        """Where the trained weights are."""
        return self.file(RUNS, ".safetensors")

    def batches(
        self,
        utterances: Sequence[Utterance],
        batch_seconds: float,
        hardware: torch.device | None = None,
    ) -> Iterator[Batch]:
        """The utterances in batches of at most `batch_seconds` of padded audio, longest first.

        Each is rendered when it is asked for, and lies on the session's hardware, or another that a
        model has been moved to.
        """
        for group in bucketed(utterances, batch_seconds / self.composer.frame):
            yield self.composer.batch(group).to(hardware or self.hardware)

    def revision(self, stage: str, *listed: str) -> str:
        """Of the sources that decide what a stage makes of this arm, other mechanisms not.

        `listed` are files of the package that the stage loads by their names.
        """
        used = (
            name if name.startswith("regularisers/") else f"attention/{name}"
            for name in self.arm["sources"]
        )
        return sources.revision([f"stages/{stage}.py", *used, *listed])

    def provenance(self, split: str, stage: str, *listed: str) -> dict:
        """What stands beside every number that a stage makes of this run; see `revision`."""
        threads, arithmetic = self.params.threads, self.training.arithmetic
        return {
            "profile": self.params.profile,
            "hardware": device.describe(self.hardware, threads, arithmetic),
            "revision": self.revision(stage, *listed),
            "arm": self.arm["arm"],
            "seed": self.seed,
            "split": split,
        }

    def settings(self) -> dict:
        """Everything that decides the trained weights, as plain data."""
        values = dataclasses.asdict(self.params)
        data = {name: values[name] for name in ("fetch", "prepare")}
        more = {"haystack": values["haystack"]} if self.study == "seek" else {}
        if (precision := device.precision(self.hardware)) != "float32":
            more["precision"] = precision
        return more | {
            "arm": self.arm,
            "seed": self.seed,
            "train": values[self.stage],
            "tasks": values["tasks"],
            "features": data,
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `settings`."""
        decisive = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(decisive.encode()).hexdigest()

    def trained(self) -> SpeechModel:
        """The model with its trained weights, on the hardware, ready to be evaluated.

        Raises UserError for weights that are missing or of another arm.
        """
        tensors, _ = weights.load(self.weights)
        model = self.prepare()
        try:
            model.load_state_dict(tensors)
        except RuntimeError:
            raise UserError(
                f"{self.weights}: does not fit arm {self.arm['arm']!r} of params.yaml; train the "
                "arm again"
            ) from None
        return model.to(self.hardware).eval()


def begin(
    description: str | None,
    argv: list[str] | None,
    study: str = "train",
    view: Callable[[FeatureStore], FeatureStore] | None = None,
) -> Session:
    """Open the session that a stage's command line `ARM [--seed N]` asks for.

    A study may have its own `view` of the feature store.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("arm", help="a row of `arms:` in params.yaml")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    params = load()
    arm = of_study(resolve(params, args.arm), getattr(params, study))
    section = getattr(params, trained_by(arm, study))
    hardware = device.prepare(params.threads, section.arithmetic)  # before any tensor is made
    store = FeatureStore.open(FEATURES)
    store = view(store) if view else store
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    torch.manual_seed(args.seed)
    return Session(
        study=study,
        params=params,
        arm=arm,
        seed=args.seed,
        composer=composer,
        hardware=hardware,
        model=build_model(arm, store),
        regularisers=regularisers.build(arm.get("regularisers", {})),
    )
