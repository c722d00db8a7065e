"""What is noted of a run on the way: every step in a log, means of several in the results."""

import json
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from focused_attention.tasks.batches import Batch


@dataclass
class History:
    """What the results keep of a run: nothing that differs between two runs on one machine."""

    steps: list[dict] = field(default_factory=list)
    dev: list[dict] = field(default_factory=list)
    trained: int = 0  # parameters that ever got a gradient


class Journal:
    """Notes steps: each in `lines` with its timings, means of several in `history`.

    In a row are what is averaged over steps, in `seen` what is of one logged step alone.
    """

    def __init__(self, history: History, lines: TextIO, bar):
        self.history, self.lines, self.bar = history, lines, bar
        self.window: list[dict] = []  # rows since the last means
        self.waited = 0.0
        self.resume()

    def resume(self) -> None:
        """Begin the time of the next step."""
        self.tick = time.perf_counter()

    def awaited(self, batch: Batch) -> Batch:
        """The batch, whose coming ends a step's waiting."""
        self.waited = time.perf_counter() - self.tick
        return batch

    def note(self, step: int, row: dict, seen: dict, seconds: float, logged: bool) -> None:
        """Note a step that heard so many seconds; it ends with it, and the next begins."""
        elapsed = time.perf_counter() - self.tick
        self.resume()
        timing = {"ms": 1e3 * elapsed, "wait_ms": 1e3 * self.waited, "rtf": elapsed / seconds}
        self.lines.write(json.dumps({"step": step, **row, **seen, **timing}) + "\n")
        self.bar.update(1)
        self.window.append(row)
        if logged:
            means = {name: mean([noted[name] for noted in self.window]) for name in row}
            self.history.steps.append({"step": step, **means, **seen})
            self.bar.set_postfix(loss=f"{means['loss']:.3f}")
            self.window = []


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def progress(total: int, initial: int, label: str):
    """A progress bar on a terminal; silent elsewhere and where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return Silent()
    return tqdm(
        total=total,
        initial=initial,
        desc=label,
        unit="step",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    )


class Silent:
    """A progress bar that shows nothing."""

    def update(self, n: int) -> None: ...

    def set_postfix(self, **values: str) -> None: ...

    def close(self) -> None: ...
