"""Execute a notebook with papermill and write it normalised: the same bytes on every run.

    python -m focused_attention.stages.notebook 02-pilot

reads notebooks/02-pilot.ipynb and writes notebooks/executed/02-pilot.ipynb. A notebook says in its
parameters cell what it shows: the runs of `profile`, or the findings of `findings`, both of which
come from params.yaml. `-p NAME=VALUE` sets others of its parameters. The values stand in that cell,
so that a reader sees one and not what papermill adds to it. Nothing is written unless every cell
ran.
"""

import argparse
import ast
import base64
import copy
import logging
import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
import yaml
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import DeadKernelError
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from papermill.translators import PythonTranslator

from focused_attention.errors import UserError, run
from focused_attention.params import load
from focused_attention.paths import EXECUTED, NOTEBOOKS
from focused_attention.results import shown, write_text

KERNEL = "python3"  # ipykernel installs it with the environment; no user-level registration
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": KERNEL}
PNG = b"\x89PNG\r\n\x1a\n"
VARYING_CHUNKS = {b"tEXt", b"zTXt", b"iTXt", b"tIME"}  # of a PNG: versions and times
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in a Python object's default representation


def execute(path: Path, offered: dict, parameters: dict) -> NotebookNode:
    """Run a notebook's cells in a fresh kernel, from the current folder.

    Of the parameters that are `offered` it takes those that it has; `parameters` it must have.
    Raises UserError for a missing notebook, an unknown parameter, findings that are not there, or a
    cell that fails.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.ipynb"))) or "none"
        raise UserError(f"{path}: no such notebook; there are: {known}")
    try:
        source = nbformat.read(path, as_version=4)
    except nbformat.reader.NotJSONError:
        raise UserError(f"{path}: not a notebook: its content is not JSON") from None
    source.metadata.kernelspec = nbformat.from_dict(KERNELSPEC)
    with kernel_environment():
        known = list(papermill.inspect_notebook(source))
        if unknown := [name for name in parameters if name not in known]:
            raise UserError(
                f"{path}: unknown parameter {unknown[0]!r}; its cell tagged `parameters` has: "
                + (", ".join(known) or "none")
            )
        values = {name: offered[name] for name in known if name in offered} | parameters
        if "findings" in values:
            shown(values["findings"])
        for cell in source.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = assigned(cell.source, values)
        try:
            return papermill.execute_notebook(
                copy.deepcopy(source),
                None,
                kernel_name=KERNEL,
                progress_bar=sys.stderr.isatty(),
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
        except PapermillExecutionError as error:
            reason = " ".join(f"{error.ename}: {error.evalue}".split())
            raise UserError(f"{path}: {_place(source, error.source)}: {reason}") from None
        except NoSuchKernel:
            raise UserError(
                f"{path}: no Jupyter kernel {KERNEL!r} in {sys.prefix}; install ipykernel there"
            ) from None
        except DeadKernelError:
            raise UserError(f"{path}: the kernel died; is there enough memory?") from None


def assigned(code: str, values: dict) -> str:
    """Code whose assignments to the names in `values` assign those values.

    >>> assigned('profile = "pilot"\\nlisten = False', {"listen": True})
    'profile = "pilot"\\nlisten = True'
    """
    lines = code.splitlines()
    for statement in reversed(ast.parse(code).body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) if name in values:
                line = f"{name} = {PythonTranslator.translate(values[name])}"
                lines[statement.lineno - 1 : statement.end_lineno] = [line]
    return "\n".join(lines)


@contextmanager
def kernel_environment() -> Iterator[None]:
    """This environment's own kernel, without the user's settings, start-up files or hash seed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter")),
            "JUPYTER_CONFIG_DIR": folder,
            "JUPYTER_RUNTIME_DIR": folder,
            "IPYTHONDIR": folder,
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONHASHSEED": "0",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger warns about frozen modules
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def normalise(notebook: NotebookNode) -> str:
    """The notebook as text that depends on its sources and results alone; clears it on the way."""
    clean, _ = Portable().preprocess(notebook, {})
    clean.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    clean.nbformat_minor = 5
    nbformat.validate(clean)
    return nbformat.writes(clean).rstrip("\n") + "\n"


class Portable(CoalesceStreamsPreprocessor):
    """Clears cells of what differs between runs; text in pieces of any size is joined by nbconvert.

    Standard error holds warnings with paths and versions: it is shown to who runs, not kept.
    """

    def preprocess_cell(self, cell: NotebookNode, resources: dict, cell_index: int):
        cell.id = f"cell-{cell_index + 1:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type != "code":
            return cell, resources
        for output in (o for o in cell.outputs if o.get("name") == "stderr"):
            logging.warning("%s", output.text.rstrip())
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        super().preprocess_cell(cell, resources, cell_index)
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = _portable(output.text)
            else:
                output.metadata = {}
                output.data = {kind: _value(kind, value) for kind, value in output.data.items()}
        return cell, resources


def _value(kind: str, value: object) -> object:
    if kind == "image/png":
        image = strip_png(base64.b64decode(value))
        return base64.b64encode(image).decode("ascii") + "\n"
    return _portable(value) if isinstance(value, str) else value


def _portable(text: str) -> str:
    """Text without memory addresses and without the folder in which the clone happens to lie."""
    return ADDRESS.sub("", text).replace(f"{Path.cwd()}{os.sep}", "")


def strip_png(image: bytes) -> bytes:
    """A PNG without the chunks that hold software versions and times."""
    if not image.startswith(PNG):
        raise ValueError("not a PNG image")
    kept, position = [PNG], len(PNG)
    while position < len(image):
        (length,) = struct.unpack_from(">I", image, position)
        end = position + 12 + length  # length, type, data and checksum
        if image[position + 4 : position + 8] not in VARYING_CHUNKS:
            kept.append(image[position:end])
        position = end
    return b"".join(kept)


def _place(source: NotebookNode, code: str) -> str:
    """Where a failing cell stands in the source notebook, and its first line."""
    for position, cell in enumerate(source.cells, 1):
        if cell.source == code:
            return f"cell {position} ({code.strip().splitlines()[0]})"
    raise ValueError("code: expected that of a cell of the notebook")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Execute a notebook and write it normalised under notebooks/executed/."
    )
    parser.add_argument("name", help="the notebook's name without .ipynb, as in 02-pilot")
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set another parameter of the notebook; VALUE is YAML",
    )
    arguments = parser.parse_args(argv)
    params, parameters = load(), {}
    for setting in arguments.parameter:
        name, equals, value = setting.partition("=")
        if not equals:
            parser.error(f"-p {setting}: expected NAME=VALUE")
        parameters[name] = yaml.safe_load(value)
    logging.getLogger("papermill").setLevel(logging.WARNING)
    offered = {"profile": params.profile, "findings": params.findings}
    notebook = execute(NOTEBOOKS / f"{arguments.name}.ipynb", offered, parameters)
    path = EXECUTED / f"{arguments.name}.ipynb"
    write_text(path, normalise(notebook))
    logging.info("wrote %s", path)


if __name__ == "__main__":
    run(main)
