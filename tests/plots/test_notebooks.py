"""Notebooks 04 to 10 run on planted findings, also where a profile measures little."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.plots import first, second

ROOT = Path(__file__).parents[2]
NOTEBOOKS = (
    "04-entropy", "05-sharpen-longer", "06-recall", "07-sparsity", "08-schedules",
    "09-local-encoder", "10-first-trial",
)  # fmt: skip
LATER = ("schedules", "learned", "windows", "swapped")  # tables that a profile may be without
NOTHING = dict.fromkeys(("difference", "difference_low", "difference_high"), 0.0)


def of_first_trial(folder: Path) -> None:
    (folder / "findings").mkdir(parents=True)
    for file, table in {
        "accuracy": first.ONE.accuracy.assign(**NOTHING),
        "optimum": first.ONE.optimum.assign(rate=0.6),
        "learning": first.ONE.learning.assign(trained=True, spot_first_word=0.95),
        "by-seed": first.ONE.by_seed,
        "guesses": first.ONE.guesses,
        "spotting": first.ONE.spotting,
    }.items():
        table.to_csv(folder / "findings" / f"{file}.csv", index=False)
    (folder / "verdicts.json").write_text(json.dumps(first.verdicts()))


def of_second_trial(folder: Path, made_up: dict[str, pd.DataFrame]) -> None:
    for part in ("findings", "seek", "entropy"):
        (folder / part).mkdir(parents=True)
    for file, table in made_up.items():
        table.to_csv(folder / "findings" / f"{file}.csv", index=False)
    for (arm, seed), of_run in second.heads().groupby(["arm", "seed"]):
        about = json.dumps({"arm": arm, "seed": seed})
        (folder / "seek" / f"{arm}-{seed}.json").write_text(about)
        of_run = of_run.drop(columns=["arm", "seed"])
        of_run.to_csv(folder / "entropy" / f"{arm}-{seed}.csv", index=False)
    (folder / "seek" / "echo-other-1.json").write_text('{"arm": "echo-other", "seed": 1}')
    (folder / "verdicts.json").write_text(json.dumps(second.verdicts()))
    (folder / "example.json").write_text(json.dumps(first.EXAMPLE))


@pytest.mark.parametrize("measured", ["all", "little"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_on_planted_findings(name, measured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    made_up = {table: make() for table, make in second.TABLES.items()}
    if measured == "little":
        made_up = {k: t for k, t in made_up.items() if k not in LATER}
        made_up |= {table: made_up[table].iloc[:0] for table in ("slopes", "temperatures")}
    else:
        own = {"echo-encoder-": "echo-self-", "echo-cross-": "echo-cross-given-"}
        for table in ("schedules", "temperatures", "learned"):
            arms = made_up[table]["arm"].replace(own, regex=True)
            made_up[table] = made_up[table].assign(arm=arms)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    of_second_trial(Path("results/pilot"), made_up)
    for other in ("grid", "local-encoder", "first", "replication"):
        of_first_trial(Path("results") / other)
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    space: dict = {}
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for source in code:
        exec(source, space)
    assert os.listdir("paper/figures") == [name]  # the folder that is the notebook's output
    assert len(os.listdir(f"paper/figures/{name}")) == "".join(code).count("plots.save(") > 0
