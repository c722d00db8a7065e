"""Stage train: one arm with one seed; a GPU is used where there is one."""

import hashlib
import json
import logging
import time

from focused_attention import results
from focused_attention.errors import run
from focused_attention.paths import CHECKPOINTS, LOGS, RESULTS
from focused_attention.training import checkpoint, session
from focused_attention.training.loop import train


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv)
    params, model, composer = work.params, work.model, work.composer
    settings = params.train
    decisive = json.dumps(work.settings(), sort_keys=True)
    fingerprint = hashlib.sha256(decisive.encode()).hexdigest()
    state = CHECKPOINTS / params.profile / f"{work.run}.safetensors"
    began = time.perf_counter()
    history = train(
        model,
        composer,
        settings,
        plans=composer.training(
            settings.mixture, settings.batch_seconds, work.seed, settings.curriculum
        ),
        dev={
            task: composer.evaluation(task, "dev", settings.dev_utterances)
            for task in settings.mixture
        },
        hardware=work.hardware,
        path=state,
        fingerprint=fingerprint,
        log=LOGS / params.profile / f"{work.run}.jsonl",
        label=work.run,
    )
    logging.info("%s: %.0f s", work.run, time.perf_counter() - began)
    weights = {name: tensor.float() for name, tensor in model.state_dict().items()}
    checkpoint.save(work.weights, weights)
    folder = RESULTS / params.profile / "train"
    results.write_csv(folder / f"{work.run}.csv", history.steps)
    results.write_csv(folder / f"{work.run}-dev.csv", history.dev)
    results.write_json(
        folder / f"{work.run}.json",
        work.provenance("train")
        | {
            "steps": settings.steps,
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained": history.trained,
            "fingerprint": fingerprint,
        },
    )
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
