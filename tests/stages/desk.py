"""The paper's sources beside made-up results and empty figures, and what tests change there."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from focused_attention.stages import paper
from tests.stages.made_up import FOUND, write_findings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "paper").rglob("*.typ"))
LOCAL = "echo-encoder-off"  # its encoder has a short span
TABLES = ("losses", "optima", "slopes", "schedules", "spared", "times")
TRIED = json.loads((ROOT / "results/full/heard.json").read_text("utf-8"))["tables"]
HEARD = (
    "heard.json",
    "listen/tiny.en-cross.csv",
    "word_times/tiny.en.csv",
    *(f"heard/{name}.csv" for name in (*TABLES, *TRIED)),
)
PILOT = "results/pilot/verdicts.json"


def figures_used() -> set[str]:
    drawn = r'#drawn\("([^"]+)"'
    return {name for path in SOURCES for name in re.findall(drawn, path.read_text("utf-8"))}


def lay() -> None:
    """The paper's sources beside made-up results and empty figures."""
    shutil.copytree(ROOT / "paper", "paper", ignore=shutil.ignore_patterns("*.pdf"))
    shutil.copytree(ROOT / "profiles", "profiles")
    Path("paper/figures").mkdir(exist_ok=True)
    for name in ("arithmetic", "binding", "machines"):
        shutil.copy(ROOT / f"results/{name}.json", "results")
    write_findings(Path("results/grid"), "a desk", ("echo", "echo-cross-learned-span", LOCAL))
    write_findings(Path("results/local-encoder"), "a desk", ("echo", LOCAL))
    write_findings(Path("results/replication"), "a desk", verdict="supported")
    for name in HEARD:
        Path("results/full", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "results/full" / name, Path("results/full", name))
    pilot = Path("results/pilot")  # of the second trial what the pilot found
    shutil.copytree(ROOT / pilot / "findings", pilot / "findings", dirs_exist_ok=True)
    shutil.copy(ROOT / pilot / "verdicts.json", pilot)
    (pilot / "tables").mkdir(exist_ok=True)
    shutil.copy(ROOT / pilot / "tables/variants.csv", pilot / "tables")
    figure = Figure(figsize=(3, 1))
    for name in figures_used():
        path = Path(f"paper/figures/{name}.pdf")
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path)


def compiled() -> bytes:
    """The PDF with the pilot's numbers and its findings beside the first trial's."""
    return paper.compile_paper(paper.SOURCE, "pilot", "pilot")


def rejudged(path: str, change: Callable[[dict], None]) -> None:
    """Verdicts with something changed."""
    judged = json.loads(Path(path).read_text())
    change(judged)
    Path(path).write_text(json.dumps(judged))


def all_judged(verdict: str) -> None:
    """The second trial with every claim of one verdict."""

    def change(judged):
        for claim in judged["claims"].values():
            claim["verdict"] = verdict
            if verdict == "not run":
                for name in ("effect", "low", "high", "p_holm", "n", "seeds", "learned"):
                    claim.pop(name, None)
            else:
                model = {"model_low": 0.0, "model_high": 0.02, "sd_seed": 0.01}
                found = FOUND.get(verdict, FOUND["undecided"]) | {"n": 256, "seeds": 10}
                claim.update(model | found | {"sd_recording": 0.02, "sd_rest": 0.1})

    rejudged("results/pilot/verdicts.json", change)


def emptied(*names: str) -> None:
    """Findings with their header alone."""
    for name in names:
        path = Path(f"results/pilot/findings/{name}.csv")
        path.write_text(path.read_text().partition("\n")[0] + "\n")
