"""The pages of the mechanisms: one each, as the sources and the tables have it, and no other."""

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import yaml

from focused_attention import attention
from focused_attention.attention import Mechanism
from focused_attention.attention.base import AttentionOutput
from focused_attention.errors import UserError
from focused_attention.plots import untrained
from focused_attention.results import write_csv
from focused_attention.stages import pages
from focused_attention.verdicts.variants import COLUMNS

ROOT = Path(__file__).parents[2]
FOLDER = Path("docs/mechanisms")
BLANK = dict.fromkeys(COLUMNS, "")
PLAIN = {"words_wer": 0.5, "seeds": 1, "entropy": 0.971}
CHANGE = {"seeds": 1, "slot": "focus", "difference": -0.0123, "low": -0.02, "high": 0.001}
CHANGE |= {"p_holm": 0.2, "shrunken": -0.004, "multiplications_140": 5.2e6}
CHANGE |= {"multiplications_1500": 2.5e8}
VARIED = {"arm": "vary-entmax", "mechanism": "entmax", "entropy": 0.6, "support": 12.34} | CHANGE
UNSHOWN = {"arm": "vary-sigmoid", "mechanism": "sigmoid", "note": "its rows do not sum to one"}
UNSHOWN |= CHANGE | {"difference": 0.03}


@dataclass(kw_only=True, slots=True)
class Older:
    wide: int = 3  # a | b


@dataclass(kw_only=True, slots=True)
class Config(Older):
    name: str = "x"
    many: tuple[int, ...] = (
        1,
        2,
    )  # of *them*


class Unseen(Mechanism):
    """Without rows of weights."""

    weighted = False

    def combine(self, q, k, v, view):
        return AttentionOutput(q)


def write_table(profile: str, *rows: dict, columns=COLUMNS) -> None:
    start, control = {"arm": "echo", "difference": 0.01}, {"arm": "echo-more"} | PLAIN
    table = [{name: (BLANK | row)[name] for name in columns} for row in (start, control, *rows)]
    write_csv(Path(f"results/{profile}/tables/variants.csv"), table, columns)


def words(name: str, tables: dict) -> str:
    return "\n\n".join(pages.numbers(name, tables))


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """What the stage makes of this repository."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return pages.pages("pilot")


def test_every_mechanism_has_a_page_and_no_page_is_left_over(made):
    there = {path.name for path in (ROOT / FOLDER).iterdir()}
    assert {Path(name).stem for name in there if name.endswith(".md")} == {
        "README",
        *attention.names(),
    }
    assert there == set(made), "`dvc repro pages`, and commit docs/mechanisms"
    index = made["README.md"].decode()
    assert all(index.count(f"]({name}.md)") == 1 for name in attention.names())


def test_committed_pages_are_those_of_the_sources_and_tables(made):
    for name, content in made.items():
        kept = (ROOT / FOLDER / name).read_bytes()
        if name.endswith(".md"):
            assert kept == content, f"{FOLDER / name}: `dvc repro pages`"
            continue
        old, new = (plt.imread(io.BytesIO(image), format="png") for image in (kept, content))
        assert old.shape == new.shape
        other = (old != new).any(axis=-1).mean()  # another processor may round a square otherwise
        assert other <= 0.02, f"{FOLDER / name}: `dvc repro pages`"


def test_a_picture_has_the_same_bytes_on_every_run_and_no_date(made):
    name = "random_keys"
    assert pages.picture(untrained.untrained(name).rows) == made[f"{name}.png"]
    chunks = [kind for kind in (b"tEXt", b"iTXt", b"tIME") if kind in made[f"{name}.png"]]
    assert not chunks


def test_the_rounding_of_another_processor_is_not_seen():
    for name in ("whisper", "entmax", "delta"):
        rows = untrained.untrained(name).rows
        noise = 1 + 1e-6 * np.random.default_rng(0).standard_normal(rows.shape)
        assert untrained.picture(rows * noise) == untrained.picture(rows)


def test_weights_below_zero_have_a_colour_of_their_own():
    rows = np.array([[1.0, 0.0], [0.0, -1.0]])
    signed = plt.imread(io.BytesIO(untrained.picture(rows)), format="png")
    red, _, blue = signed[0, 0, :3], signed[0, -1], signed[-1, -1, :3]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert signed[0, -1, :3].min() > 0.9


def test_what_is_bounded_is_shown_bounded():
    shown = untrained.untrained("shifted")
    assert shown.settings == {"group": untrained.NEAR}
    assert np.count_nonzero(shown.rows) <= untrained.POSITIONS * untrained.NEAR
    assert untrained.untrained("whisper").settings == {}


def test_nothing_outside_is_drawn_from():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    untrained.untrained("random_keys")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mechanism_that_has_no_weights_to_show_says_so(monkeypatch):
    monkeypatch.setattr(attention, "load", lambda name: (Config, Unseen))
    weights = untrained.Weights(None, True, {})
    said = pages.figure("unseen", weights, weights)
    assert said[1].startswith("No weights to show")
    assert not any("png" in part for part in said)
    assert "| yes | yes | yes | no | yes | yes | no |" in "\n".join(pages.about("whisper"))


def test_settings_have_the_comments_beside_them():
    assert pages.comments(Config) == {"wide": "a | b", "name": "", "many": "of *them*"}
    assert pages.cell("a | b, of *them*") == r"a \| b, of \*them\*"


def test_a_page_holds_all_that_the_class_says(made):
    page = made["entmax.md"].decode()
    assert "https://arxiv.org/abs/1905.05702" in page
    assert "\n**Deviation:** the source sorts" in page
    assert "\n**Cost:** 2 B H T S K multiplications" in page
    assert "```python\n>>> scores = torch.tensor([1.0, 0.8, -0.4])\n" in page
    assert (
        "| `alpha` | `1.5` | 1: softmax, 2: sparsemax; None: learned, one of every head |" in page
    )
    assert "having adopted [`whisper`](whisper.md), it computes the same with alpha = 1." in page
    inherited = made["titans.md"].decode()
    assert inherited.index("| `window` | `64` |") < inherited.index("| `momentum` | `True` |")


@pytest.mark.parametrize("name", ["elu", "entmax", "sigmoid"])
def test_numbers_are_those_of_the_profile_and_else_of_the_larger_one(house, name):
    write_table("pilot", VARIED)
    write_table("variants", VARIED | {"arm": "other"}, UNSHOWN)
    tables = {profile: pages.varied(profile) for profile in ("pilot", "variants")}
    text = words(name, tables)
    if name == "entmax":
        assert "| `vary-entmax` | focus | −1.2 [−2.0, 0.1] | 0.200 | −0.4 | 0.60 | 12.3 |" in text
        assert " | 5.2 | 250.0 |\n" in text
        assert "`other`" not in text
        assert "Trained `echo` goes on" in text
        assert "less that of `echo-more`, which goes on as it is (50.0 %)" in text
        assert "Profile `pilot`, seeds per arm: 1." in text
    elif name == "sigmoid":
        assert "| `vary-sigmoid` | focus | +3.0 [−2.0, 0.1] | 0.200 | −0.4 | – | – |" in text
        assert "\n\n`vary-sigmoid`: its rows do not sum to one." in text
        assert "Profile `variants`" in text
    else:
        assert "No numbers yet: no arm in the tables of `pilot` and `variants`" in text


def test_a_table_without_rows_or_none_at_all_gives_no_numbers(house):
    write_csv(Path("results/pilot/tables/variants.csv"), [], COLUMNS)
    assert pages.varied("pilot") == pages.varied("variants") == []
    assert "No numbers yet" in words("entmax", {"pilot": []})


def test_a_table_that_lacks_a_column_is_an_error_of_one_line(house):
    write_table("pilot", VARIED, columns=[name for name in COLUMNS if name != "p_holm"])
    message = r"results/pilot/tables/variants\.csv: no column 'p_holm'; run `dvc repro -f collect`$"
    with pytest.raises(UserError, match=message):
        pages.main([])
    assert not FOLDER.exists()


def test_pages_of_mechanisms_that_are_gone_are_deleted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    for name in ("gone.md", "gone.png", "kept.txt"):
        (FOLDER / name).write_text("old")
    pages.write({"new.md": b"new"})
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == {
        "new.md": "new",
        "kept.txt": "old",
    }


def test_a_smoke_run_leaves_the_pages(house):
    params = Path("params.yaml").read_text().replace("profile: pilot", "profile: smoke")
    Path("params.yaml").write_text(params)
    pages.main([])
    assert not FOLDER.exists()


def test_every_table_that_there_is_makes_the_stage_run_again():
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["pages"]["deps"]
    path = f"results/{pages.LARGER}/tables/variants.csv"
    assert path in deps or not (ROOT / path).exists(), f"dvc.yaml: deps of stage pages: add {path}"
