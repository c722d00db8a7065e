"""Stage train: one arm with one seed; a GPU is used where there is one."""

import argparse
import dataclasses
import hashlib
import json
import logging
import time

import torch

from focused_attention import results
from focused_attention.errors import run
from focused_attention.params import load
from focused_attention.paths import CHECKPOINTS, FEATURES, LOGS, RESULTS, RUNS
from focused_attention.store import FeatureStore
from focused_attention.tasks import Composer
from focused_attention.training import checkpoint, device
from focused_attention.training.arms import build_model, resolve
from focused_attention.training.loop import train


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", help="a row of `arms:` in params.yaml")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    params = load()
    arm = resolve(params, args.arm)
    store = FeatureStore.open(FEATURES)
    composer = Composer(store, params.tasks, dev=params.prepare.dev, test=params.prepare.test)
    hardware = device.prepare(params.threads)
    torch.manual_seed(args.seed)
    model = build_model(arm, store)
    run_name = f"{args.arm}-{args.seed}"
    settings = {
        "arm": arm,
        "seed": args.seed,
        "train": {
            k: v for k, v in dataclasses.asdict(params.train).items() if k not in ("arms", "seeds")
        },
        "tasks": dataclasses.asdict(params.tasks),
        "features": {
            "fetch": dataclasses.asdict(params.fetch),
            "prepare": dataclasses.asdict(params.prepare),
        },
    }
    fingerprint = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    state = CHECKPOINTS / params.profile / f"{run_name}.safetensors"
    began = time.perf_counter()
    history = train(
        model,
        composer,
        params.train,
        seed=args.seed,
        hardware=hardware,
        path=state,
        fingerprint=fingerprint,
        log=LOGS / params.profile / f"{run_name}.jsonl",
        label=run_name,
    )
    logging.info("%s: %.0f s", run_name, time.perf_counter() - began)
    weights = {name: tensor.float() for name, tensor in model.state_dict().items()}
    checkpoint.save(RUNS / params.profile / f"{run_name}.safetensors", weights)
    folder = RESULTS / params.profile / "train"
    results.write_csv(folder / f"{run_name}.csv", history.steps)
    results.write_csv(folder / f"{run_name}-dev.csv", history.dev)
    results.write_json(
        folder / f"{run_name}.json",
        {
            "profile": params.profile,
            "hardware": device.describe(hardware, params.threads),
            "arm": args.arm,
            "seed": args.seed,
            "split": "train",
            "steps": params.train.steps,
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained": history.trained,
            "fingerprint": fingerprint,
        },
    )
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
