"""The paper: deterministic, every number from the results, every figure and citation there."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from focused_attention.errors import UserError
from focused_attention.metrics.sharpness import COLLAPSED, ONE_HOT
from focused_attention.results import write_csv
from focused_attention.stages import paper
from focused_attention.verdicts.findings import TRAINED
from tests.stages.made_up import SEEDS, write_findings

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "paper").rglob("*.typ"))
PROSE = [p for p in SOURCES if p.parent.name == "sections"]
STUDIED = (
    "echo", "whisper",
    "echo-cross-off", "echo-cross-true", "echo-cross-false", "echo-cross-learned",
)  # fmt: skip
LOCAL = "echo-encoder-off"  # its encoder has a short span
TABLES = ("losses", "optima", "slopes", "schedules", "spared", "times")
TRIED = json.loads((ROOT / "results/full/heard.json").read_text("utf-8"))["tables"]
HEARD = (
    "heard.json",
    "listen/tiny.en-cross.csv",
    "word_times/tiny.en.csv",
    *(f"heard/{name}.csv" for name in (*TABLES, *TRIED)),
)
UNITS = r"(?:em|pt|fr|cm|mm|in|deg|%)"


def figures_used() -> set[str]:
    drawn = r'#drawn\("([^"]+)"'
    return {name for path in SOURCES for name in re.findall(drawn, path.read_text("utf-8"))}


@pytest.fixture
def desk(house):
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
    again = Path("results/pilot")  # of the second trial what the pilot found
    shutil.copytree(ROOT / again / "findings", again / "findings", dirs_exist_ok=True)
    shutil.copy(ROOT / again / "verdicts.json", again)
    answers = [
        {"answers": whose, "task": "recall", "temperature": 1.0, "right": "0101"}
        for whose in ("own", "another")
    ]
    for seed in SEEDS:
        write_csv(Path(f"results/local-encoder/sweep/{LOCAL}-{seed}.csv"), answers, [*answers[0]])
    figure = Figure(figsize=(3, 1))
    for name in figures_used():
        path = Path(f"paper/figures/{name}.pdf")
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path)
    return house


def compiled() -> bytes:
    """The PDF with the pilot's numbers and its findings beside the first trial's."""
    return paper.compile_paper(paper.SOURCE, "pilot", "pilot")


def test_two_compilations_give_the_same_bytes(desk):
    written = []
    for _ in range(2):
        paper.main([])
        written.append(Path("paper/paper.pdf").read_bytes())
    assert written[0].startswith(b"%PDF")
    assert written[0] == written[1]
    assert not list(Path("paper").glob("*.partial"))


def test_a_missing_number_breaks_the_build(desk):
    path = Path("results/pilot/tables/wer.csv")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] != "echo"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=r"paper/numbers\.typ:\d+:\d+: .*0 rows, not one.*echo"):
        paper.main([])
    assert not Path("paper/paper.pdf").exists()


@pytest.mark.parametrize(
    "file",
    [
        "results/pilot/summary.json",
        "results/pilot/traps.json",
        "results/first/verdicts.json",
        "results/first/findings/optimum.csv",
        "results/benchmark-attention.json",
        "results/benchmark-speech.json",
        "results/arithmetic.json",
        "results/binding.json",
        "results/machines.json",
        "results/first/findings/spotting.csv",
        "paper/references.bib",
    ],
)
def test_a_missing_file_breaks_the_build(desk, file):
    Path(file).unlink()
    message = rf"\.typ:\d+:\d+: file not found.*{Path(file).name}"
    with pytest.raises(UserError, match=message) as raised:
        paper.main([])
    assert "\n" not in str(raised.value)
    assert not Path("paper/paper.pdf").exists()


def test_a_missing_figure_breaks_the_build(desk):
    Path("paper/figures/02-pilot/curves.pdf").unlink()
    with pytest.raises(UserError, match="file not found"):
        paper.main([])


def test_a_warning_breaks_the_build(desk):
    text = Path("paper/paper.typ").read_text()
    Path("paper/paper.typ").write_text(text + '#text(font: "No Such Font")[x]\n')
    with pytest.raises(UserError, match="unknown font family"):
        paper.main([])
    assert not Path("paper/paper.pdf").exists()


def test_a_profile_without_results_is_one_line(desk):
    with pytest.raises(UserError, match="results/absent: no results of profile 'absent'"):
        paper.compile_paper(paper.SOURCE, "absent", "pilot")
    with pytest.raises(UserError, match="results/large: no findings") as raised:
        paper.compile_paper(paper.SOURCE, "pilot", "large")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("more", "told"),
    [("Word " * 80, r"\d+ words, at most 200"), ("1.5 2 3 4 5 6 7 ", r"\d+ numbers, at most 6")],
)
def test_an_abstract_that_grows_breaks_the_build(desk, more, told):
    path = Path("paper/sections/abstract.typ")
    path.write_text(path.read_text() + more)
    with pytest.raises(UserError, match=f"{told} are allowed"):
        paper.main([])


@pytest.mark.parametrize("verdict", ["supported", "refuted", "undecided"])
def test_the_abstract_is_short_whatever_the_verdicts(desk, verdict):
    write_findings(Path("results/first"), "a made-up processor", STUDIED, verdict)
    paper.main([])  # its own assertions


def test_title_and_abstract_name_no_profile():
    texts = [ROOT / "paper" / "sections" / "abstract.typ", ROOT / "paper" / "paper.typ"]
    for path in texts:
        shown = re.sub(r'notice: if profile == "smoke"', "", path.read_text("utf-8"))
        assert "raw(profile)" not in shown, path
        assert "raw(findings)" not in shown, path
        assert not re.search(r"`(pilot|first|full|grid|local-encoder|replication)`", shown), path


def test_no_semicolon_is_swallowed():
    """After #call(...) or #name a bare semicolon ends the code, unprinted: it must be escaped."""
    call = r"#[\w.-]+(?:\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\))?;"
    for path in PROSE:
        lost = [m[0] for m in re.finditer(call, path.read_text("utf-8"))]
        assert not lost, f"{path.name}: {lost}"


def test_c0_tells_both_hybrids_from_the_rows_that_name_them(desk):
    """The paper's published hybrid is the benchmark's hybrid_published: to swap them is seen."""
    write_findings(Path("results/first"), "a made-up processor", STUDIED, "supported")
    before = compiled()
    path = Path("results/first/verdicts.json")
    judged = json.loads(path.read_text())
    times = judged["claims"]["C0"]["lines"]["run_time"]
    times["published"], times["corrected"] = times["corrected"], times["published"]
    path.write_text(json.dumps(judged))
    assert compiled() != before


def test_a_precision_that_could_not_be_measured_is_told(desk):
    """Where nothing is written there is no precision, as in a smoke run."""
    path = Path("results/first/findings/spotting.csv")
    nothing = r"\1" + ",nan" * 6
    path.write_text(re.sub(r"(precision,3,128),.*", nothing, path.read_text()))
    paper.main([])


def test_chance_comes_from_the_verdicts(desk):
    before = compiled()
    path = Path("results/first/verdicts.json")
    judged = json.loads(path.read_text())
    judged["chance"]["heard_digit"] = 0.3
    path.write_text(json.dumps(judged))
    assert compiled() != before


@pytest.mark.parametrize("verdict", ["supported", "refuted", "undecided"])
def test_every_verdict_has_its_words(desk, verdict):
    nothing = compiled()
    write_findings(Path("results/first"), "a made-up processor", STUDIED, verdict)
    assert compiled() != nothing


def test_bytes_that_differ_between_processors_are_told(desk):
    before = compiled()
    path = Path("results/arithmetic.json")
    path.write_text(path.read_text().replace("29b59108aafd", "0123456789ab", 1))
    assert compiled() != before


def test_findings_are_those_of_the_profile_that_is_named(desk):
    before = compiled()
    path = Path("results/pilot/verdicts.json")
    judged = json.loads(path.read_text())
    judged["claims"]["C1b"]["verdict"] = "supported"
    path.write_text(json.dumps(judged))
    assert compiled() != before
    before = compiled()
    write_findings(Path("results/first"), "a made-up processor", STUDIED, "supported")
    paper.main([])
    assert Path("paper/paper.pdf").read_bytes() != before
    Path("results/first/findings/learning.csv").unlink()
    with pytest.raises(UserError, match=r"file not found.*first/findings/learning\.csv"):
        paper.main([])


def test_a_failed_check_of_the_replication_is_told(desk):
    passed = compiled()
    write_findings(Path("results/replication"), "a desk")
    path = Path("results/replication/verdicts.json")
    judged = json.loads(path.read_text())
    judged["checks"]["exchanged"] |= {"holds": False, "difference_low": 0.01}
    judged["checks"]["exchanged"] |= {"difference_high": 0.03}
    judged["claims"]["C1"]["ungated"] = {"effect": 0.04, "low": 0.02, "high": 0.07}
    path.write_text(json.dumps(judged))
    assert compiled() != passed


def test_definitions_are_those_of_the_code():
    text = (ROOT / "paper/numbers.typ").read_text("utf-8")
    found = dict(re.findall(r"(?m)^#let (collapsed|one-hot|gate) = ([\d.]+)$", text))
    wanted = {"collapsed": COLLAPSED, "one-hot": ONE_HOT, "gate": TRAINED}
    assert {name: float(number) for name, number in found.items()} == wanted


def test_smoke_results_are_marked_as_such(desk):
    shutil.copytree("results/pilot", "results/smoke")
    smoke = paper.compile_paper(paper.SOURCE, "smoke", "pilot")
    assert smoke != compiled()


@pytest.mark.parametrize("verdict", ["supported", "refuted", "equivalent", "undecided", "not run"])
def test_whatever_whisper_says_has_its_words(desk, verdict):
    path = Path("results/full/heard.json")
    judged = json.loads(path.read_text())
    for claim in judged["claims"].values():
        claim["verdict"] = verdict if claim["verdict"] != "not run" else "not run"
    for name in ("planted", "exchanged"):
        judged["checks"][name]["holds"] = verdict == "supported"
    path.write_text(json.dumps(judged))
    assert compiled()


@pytest.mark.parametrize("path", PROSE, ids=[path.stem for path in PROSE])
def test_no_number_of_a_result_is_typed(path):
    """Decimals and percentages in prose come from the results;
    lengths of the layout may be typed."""
    text = re.sub(r"(?m)^\s*//.*$", "", path.read_text("utf-8"))
    text = re.sub(rf"\b\d+(?:\.\d+)?{UNITS}(?=[\s,)\]])", "", text)
    typed = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])|\d+\s?(?:%|per ?cent)", text)
    assert not typed, f"{path.name}: {typed}"


def test_nothing_is_downloaded_and_no_system_font_used():
    for path in SOURCES:
        assert "@preview" not in path.read_text("utf-8"), path


def test_every_reference_is_cited_and_every_citation_known():
    entries = set(re.findall(r"(?m)^@\w+\{(\S+),", (ROOT / "paper/references.bib").read_text()))
    prose = "".join(path.read_text("utf-8") for path in PROSE)
    labels = set(re.findall(r"<([\w-]+)>", prose))
    cited = set(re.findall(r"(?<![\w\"])@([\w-]+)", prose)) - labels
    assert cited == entries


def test_every_figure_is_saved_by_a_notebook():
    saved = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        drawn = re.findall(r'plots\.save\(.*, f?\\"([^"\\]+)', path.read_text("utf-8"))
        assert {name.partition("/")[0] for name in drawn} == {path.stem}
        saved |= set(drawn)
    assert figures_used() <= saved
