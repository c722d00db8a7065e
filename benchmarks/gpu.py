"""What only a GPU can show, a few minutes at a time: `make gpu`, and again until nothing is left.

1. Agreement of every mechanism with the CPU, forward and gradients, in float32 and bfloat16: how
   far the GPU is from the CPU in float64, beside how far the CPU in the same precision is.
2. Windowed attention as it is, as FlexAttention and as SDPA in blocks: that they agree, and their
   time against attention to all keys.
3. The time of every mechanism against the plain one's.
4. Plain Echo of the pilot trained in bfloat16, against the losses that a CPU came to.
5. The arms of profile `large`, on the features that are there.

Every part is saved in results/benchmark-gpu.json when it is done, and done again only if the
sources or sizes that it depends on have changed; a training goes on from its last checkpoint.
PyTorch, NumPy, PyYAML, safetensors and a copy of features/ are all it needs. `--device cpu` tries
everything in small sizes, in build/gpu/.
"""

import argparse
import hashlib
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from gpu_attention import SMALL, TORCH, Row, Sizes, agreement, row, speed, windows

from focused_attention import attention, results, schema, sources
from focused_attention.errors import UserError, run
from focused_attention.metrics.error_rates import error_rate, word_errors
from focused_attention.paths import FEATURES, LOGS, PARAMS, PROFILES, RESULTS
from focused_attention.runs.device import describe, precision
from focused_attention.speech.store import FeatureStore

OUTPUT = RESULTS / "benchmark-gpu.json"
WORK = Path("build/gpu")  # trainings run here, each in a folder with its own params.yaml
TRAINED = "echo"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the work whose rows are saved together."""

    name: str
    of: str  # changes when the part has to be done again
    rows: Callable[[float], list[Row]]  # given the time.monotonic() by which it has to end


class TimeUpError(Exception):
    """The time given has passed in the middle of a training."""


def workplace(profile: str, store: FeatureStore) -> tuple[Path, dict]:
    """A folder in which a profile's arms are trained on the store that is there, and its params.

    Tasks that the store has nothing for are left out, and the profile is then named after the
    store's languages as well, since its numbers are not those of the whole profile.
    """
    content = schema.read(PARAMS)
    languages = sorted({r.language for r in store.recordings})
    if profile and profile != content["profile"]:
        made = {name: content[name] for name in ("fetch", "prepare")}
        content = schema.overlay(content, schema.read(PROFILES / f"{profile}.yaml"))
        asked = {language for of in content["fetch"]["corpora"].values() for language in of}
        if asked != set(languages):
            content |= made  # as the features were
            content["profile"] = "-".join([profile, *languages])
    if not any(r.translation_tokens for r in store.recordings):
        content["train"]["mixture"].pop("translate", None)
    folder = WORK / content["profile"]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FEATURES).exists():
        (folder / FEATURES).symlink_to(FEATURES.resolve())
    results.write_text(folder / PARAMS, yaml.safe_dump(content, sort_keys=False))
    return folder, content


def stage(name: str, folder: Path, arm: str, seed: int, device: torch.device, end: float) -> None:
    """Run a stage in a workplace. Raises TimeUpError at the end, UserError if it fails."""
    command = [sys.executable, "-m", f"focused_attention.stages.{name}", arm, "--seed", str(seed)]
    environment = os.environ | {"PYTHONPATH": str(sources.PACKAGE.parent)}
    if device.type == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    try:
        left = max(0.1, end - time.monotonic())
        done = subprocess.run(command, cwd=folder, env=environment, timeout=left, check=False,
                              stderr=subprocess.PIPE, text=True)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimeUpError from None
    if done.returncode:
        raise UserError(f"{name} {arm}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")


def trained(folder: Path, params: dict, arm: str, device: torch.device, end: float) -> list[Row]:
    """Train an arm: its dev losses against those of the committed run, and its time a step."""
    stage("train", folder, arm, 1, device, end)
    name = Path(params["profile"], "train", f"{arm}-1-dev.csv")
    curve = results.read_csv(folder / RESULTS / name)
    there = results.read_csv(RESULTS / name) if (RESULTS / name).exists() else []
    peers = {(r["step"], r["task"]): float(r["loss"]) for r in there}
    label, rows = f"{arm} trained in {precision(device)}", []
    for one in (r for r in curve if r["step"] == curve[-1]["step"]):
        rows.append(row(f"{label}, {one['task']}, step {one['step']}", float(one["loss"]),
                        peers.get((one["step"], one["task"])), "committed run on a CPU",
                        "dev loss", target=1.1))  # fmt: skip
    lines = (folder / LOGS / params["profile"] / "train" / f"{arm}-1.jsonl").read_text()
    steps = [json.loads(line) for line in lines.splitlines()]
    ms, waited = (statistics.median(step[key] for step in steps) for key in ("ms", "wait_ms"))
    rows.append(row(f"{label}, a step", ms, None, TORCH, "ms"))
    rows.append(row(f"{label}, waiting for data in a step", waited, None, TORCH, "ms"))
    return rows


def evaluated(
    folder: Path, params: dict, arm: str, seed: int, device: torch.device, end: float
) -> list[Row]:
    """Train an arm of a profile with a seed and evaluate it: a word error rate for every task."""
    for name in ("train", "evaluate"):
        stage(name, folder, arm, seed, device, end)
    profile, counts = params["profile"], {}
    for one in results.read_csv(folder / RESULTS / profile / "evaluate" / f"{arm}-{seed}.csv"):
        counts.setdefault(one["task"], []).append(word_errors(one["reference"], one["beam"]))
    return [
        row(f"{profile}, {arm}, seed {seed}, {task}", error_rate(of), None, TORCH, "WER")
        for task, of in counts.items()
    ]


def parts(small: bool, device: torch.device) -> list[Part]:
    """All there is to do, in its order; no training where there are no features."""
    sizes = SMALL if small else Sizes()
    measured = sources.digest(Path(__file__).with_name("gpu_attention.py"))

    def part(name: str, files: list[str], rows: Callable[[], list[Row]]) -> Part:
        return Part(name, marked(measured, sizes, sources.revision(files)), lambda end: rows())

    files = {n: path.relative_to(sources.PACKAGE) for n, path in attention.names().items()}
    both = ["attention/windows.py", "attention/flex.py"]
    found = [
        *(part(f"agreement of {n}", [path.as_posix()], lambda n=n: agreement(n, sizes, device))
          for n, path in files.items()),
        *(part(f"windows, T = {T}", both, lambda T=T: windows(T, sizes, device))
          for T in sizes.lengths),
        *(part(f"speed of {n}", [path.as_posix()], lambda n=n: speed(n, sizes, device))
          for n, path in files.items()),
    ]  # fmt: skip
    if not FEATURES.exists():
        log.warning("%s: no such folder, so nothing is trained; copy it from a machine that "
                    "prepared it", FEATURES)  # fmt: skip
        return found
    store = FeatureStore.open(FEATURES)
    here, large = (workplace(p, store) for p in (("smoke", "smoke") if small else ("", "large")))
    found.append(Part(f"training of {TRAINED}", marked(here[1]),
                      lambda end: trained(*here, TRAINED, device, end)))  # fmt: skip
    study = large[1]["runs"]["train"]
    for seed in study["seeds"]:
        for arm in study["arms"][: 1 if small else None]:
            found.append(Part(f"{large[1]['profile']}, {arm}, seed {seed}", marked(large[1]),
                              lambda end, arm=arm, seed=seed: evaluated(
                                  *large, arm, seed, device, end)))  # fmt: skip
    return found


def marked(*decisive: object) -> str:
    """Twelve digits that change with what decides a part."""
    return hashlib.sha256(repr(decisive).encode()).hexdigest()[:12]


class Record:
    """What is done and what failed, in the file of results, which is written whole each time."""

    def __init__(self, path: Path, about: dict, todo: list[Part]):
        self.path, self.about, self.todo = path, about, todo
        self.done: dict[str, tuple[str, list[Row]]] = {}
        self.failed: dict[str, str] = {}
        before = results.read_json(path) if path.exists() else {}
        if any(before.get(key) != value for key, value in about.items()):
            return  # another machine's
        of, rows = {part.name: part.of for part in todo}, iter(before["rows"])
        for part in before["parts"]:
            own = [next(rows) for _ in range(part["rows"])]
            if of.get(part["name"]) == part["of"]:
                self.done[part["name"]] = part["of"], own

    def left(self) -> list[Part]:
        return [part for part in self.todo if part.name not in self.done]

    def save(self) -> None:
        finished = [part.name for part in self.todo if part.name in self.done]
        rows = [one for name in finished for one in self.done[name][1]]
        kept = [{"name": name, "of": self.done[name][0], "rows": len(self.done[name][1])}
                for name in finished]  # fmt: skip
        more = {"rows": rows, "parts": kept, "failed": self.failed}
        results.write_json(self.path, self.about | more)


def work(record: Record, end: float) -> None:
    """Do what is left until the time is up; a part that fails is noted, and the next one begun."""
    for part in record.left():
        if time.monotonic() > end:
            return
        began = time.monotonic()
        try:
            record.done[part.name] = part.of, part.rows(end)
        except TimeUpError:
            return
        except Exception as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            record.failed[part.name] = f"{type(error).__name__}: {reason}"
            log.warning("%s failed: %s", part.name, record.failed[part.name])
        else:
            held = [one["holds"] for one in record.done[part.name][1]]
            log.info("%s: %.0f s, %d rows, of %d targets %d hold", part.name,
                     time.monotonic() - began, len(held), len(held) - held.count(None),
                     held.count(True))  # fmt: skip
        record.save()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin nothing after them")
    options = parser.parse_args(argv)
    device, small = torch.device(options.device), options.device == "cpu"
    if not small and not torch.cuda.is_available():
        raise UserError("no CUDA device here; `python benchmarks/gpu.py --device cpu` tries "
                        "everything in small sizes")  # fmt: skip
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    end = time.monotonic() + 60 * options.minutes
    about = {"hardware": describe(device, torch.get_num_threads()), "torch": torch.__version__}
    path = WORK / "benchmark-cpu.json" if small else OUTPUT
    record = Record(path, about, parts(small, device))
    work(record, end)
    if left := [part for part in record.left() if part.name not in record.failed]:
        log.info("%d parts are left: run this again", len(left))
    if record.failed:
        raise UserError(f"{path}: {len(record.failed)} parts failed; see `failed` there")


if __name__ == "__main__":
    run(main)
