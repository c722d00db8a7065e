"""Notebooks: executed to the same bytes, errors in one line, sources thin."""

import ast
import base64
import json
import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import nbformat
import pytest

from focused_attention.errors import UserError
from focused_attention.stages import notebook

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = Path("notebooks/executed")


def write_notebook(name: str, *cells: str, parameters: str = 'profile = "none"') -> None:
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    content = nbformat.v4.new_notebook(cells=[first, *map(nbformat.v4.new_code_cell, cells)])
    nbformat.write(content, Path("notebooks") / f"{name}.ipynb")


def outputs(name: str) -> list[list]:
    cells = json.loads((EXECUTED / f"{name}.ipynb").read_text())["cells"]
    return [cell["outputs"] for cell in cells]


def test_two_runs_give_the_same_bytes(house):
    write_notebook(
        "figure",
        "import warnings, sys\nwarnings.warn('from here')\nprint(profile)\nsys.stdout.flush()\n"
        "print({'b', 'a', 'c', 'd'}, object())",
        "import matplotlib.pyplot as plt\nfrom pathlib import Path\n"
        "plt.plot([1, 2])\nprint(Path('params.yaml').resolve())",
    )
    written = []
    for _ in range(2):
        notebook.main(["figure"])
        written.append((EXECUTED / "figure.ipynb").read_bytes())
    assert written[0] == written[1]
    assert written[0].endswith(b"}\n")
    for absent in (b"papermill", b" at 0x", b"UserWarning", b"Software", str(house).encode()):
        assert absent not in written[0]
    text, image = outputs("figure")[1:]
    assert "".join(text[0]["text"]).startswith("pilot\n{")
    (picture,) = [base64.b64decode(o["data"]["image/png"]) for o in image if "data" in o]
    assert b"Matplotlib" not in picture
    assert sorted(p.name for p in EXECUTED.iterdir()) == ["figure.ipynb"]


def test_normalised_notebook_is_valid_and_ordered(house):
    write_notebook("plain", "1 + 1")
    notebook.main(["plain"])
    path = EXECUTED / "plain.ipynb"
    content = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(content)
    assert [cell.id for cell in content.cells] == ["cell-01", "cell-02"]
    assert set(content.metadata) == {"kernelspec", "language_info"}
    assert content.cells[0].metadata == {"tags": ["parameters"]}
    assert list(json.loads(path.read_text())) == sorted(json.loads(path.read_text()))


def test_parameters_are_set(house):
    write_notebook("sum", "n + 1", parameters='profile = "none"\nn = 1')
    notebook.main(["sum", "-p", "n=41"])
    assert outputs("sum")[-1][0]["data"]["text/plain"] == ["42"]
    first, *others = json.loads((EXECUTED / "sum.ipynb").read_text())["cells"]
    assert first["source"] == ['profile = "pilot"\n', "n = 41"]
    assert [cell["source"] for cell in others] == [["n + 1"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["broken"], r"notebooks/broken\.ipynb: cell 2 \(x = \[\]\): IndexError: list index"),
        (["broken", "-p", "colour=red"], r"broken\.ipynb: unknown parameter 'colour'.*profile$"),
        (["absent"], r"notebooks/absent\.ipynb: no such notebook; there are: broken, damaged$"),
        (["damaged"], r"notebooks/damaged\.ipynb: not a notebook"),
    ],
    ids=["cell", "parameter", "name", "file"],
)
def test_errors_are_one_line_and_write_nothing(house, arguments, message):
    write_notebook("broken", "x = []\nx[0]")
    Path("notebooks/damaged.ipynb").write_text("no JSON")
    with pytest.raises(UserError, match=message) as raised:
        notebook.main(arguments)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert not EXECUTED.exists()


def test_a_notebook_says_itself_what_it_shows(house):
    write_notebook("found", "findings", parameters='findings = "none"')
    write_notebook("bare", "1", parameters="other = 1")
    for name in ("found", "bare"):
        notebook.main([name])
    assert outputs("found")[-1][0]["data"]["text/plain"] == ["'pilot'"]
    assert outputs("bare")[-1][0]["data"]["text/plain"] == ["1"]
    shutil.rmtree("results/pilot/findings")
    with pytest.raises(UserError, match=r"^results/pilot: no findings; .* out of: first$"):
        notebook.main(["found"])
    notebook.main(["bare"])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_strip_png_drops_text_and_time_alone():
    kept = [chunk(b"IHDR", b"header"), chunk(b"IDAT", b"pixels"), chunk(b"IEND", b"")]
    dropped = [chunk(b"tEXt", b"Software\0x"), chunk(b"tIME", b"1234567"), chunk(b"iTXt", b"")]
    image = notebook.PNG + kept[0] + dropped[0] + kept[1] + dropped[1] + dropped[2] + kept[2]
    assert notebook.strip_png(image) == notebook.PNG + b"".join(kept)
    with pytest.raises(ValueError, match="not a PNG"):
        notebook.strip_png(b"JFIF")


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_source_is_thin(path):
    content = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert len(content.cells) <= 12
    shown = {'profile = "pilot"', 'findings = "pilot"', "listen = False"}
    for position, cell in enumerate(code):
        tagged = cell.metadata == {"tags": ["parameters"]}
        assert (tagged and position == 0) == bool(shown & set(cell.source.splitlines()))
    for cell in code:
        assert not cell.outputs
        assert cell.execution_count is None
        tree = ast.parse(cell.source)
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(tree))


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_links_lead_somewhere_from_where_notebooks_are_read(path):
    content = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    words = "".join(cell.source for cell in content.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", words)
    assert "../../paper/paper.pdf" in links
    for link in links:
        place = (path.parent / "executed" / link).resolve()
        source = path.parent / link  # of a notebook that is executed later
        assert place.exists() or source.exists(), link


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_executed_notebook_belongs_to_its_source(path):
    """The committed output has the source's cells, and nothing of the machine it ran on.

    Only the parameters cell is another: it has the values that were used.
    """
    executed = path.parent / "executed" / path.name
    if not executed.exists():
        pytest.skip("not executed yet")
    source, run = (nbformat.read(p, as_version=nbformat.NO_CONVERT) for p in (path, executed))
    written, kept = (
        [c.source for c in of.cells if "tags" not in c.metadata] for of in (source, run)
    )
    assert kept == written
    tags = [sum("tags" in cell.metadata for cell in of.cells) for of in (source, run)]
    assert tags[0] == tags[1] <= 1
    places = [str(Path.home()), str(ROOT), f"{tempfile.gettempdir()}/"]
    assert not [place for place in places if place in executed.read_text()]
