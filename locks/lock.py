"""Write the lock files from pyproject.toml: `make lock`.

One universal resolution (Linux and macOS, every supported Python), cut in three so that nobody
installs what they do not need:

    requirements.lock  what the pipeline needs
    locks/test.lock    what tests, lint and benchmarks need besides
    locks/cuda.lock    what torch's CUDA build needs on Linux; skipped with a CPU build of torch

All with hashes and without any index. locks/torch-cpu.lock and locks/uv.lock are kept by hand.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TORCH = "torch==2.13.0"  # a CPU build of this version is known to locks/torch-cpu.lock
BUILD = ["flit_core", "setuptools"]  # to build this package, and openai-whisper from source
CUDA = re.compile(r"(nvidia-|cuda-|triton==)")


def resolve(extra: str | None, constraints: Path, requirements: Path) -> dict[str, str]:
    """Requirement lines of one resolution, with their hashes, by their first line."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--quiet"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"]
    command += ["pyproject.toml", str(requirements), "--constraints", str(constraints)]
    if extra:
        command += ["--extra", extra]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {block.split(" \\")[0].strip(): block for block in blocks if block.strip()}


def write(path: str, what: str, blocks: list[str]) -> None:
    Path(path).write_text(f"# {what} Written by `make lock`.\n" + "".join(blocks), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirements, constraints = Path(folder, "in"), Path(folder, "constraints")
        requirements.write_text("\n".join([TORCH, *BUILD]))
        constraints.write_text("")
        everything = resolve("test", constraints, requirements)
        constraints.write_text("\n".join(everything))
        base = resolve(None, constraints, requirements)
    cuda = [key for key in everything if CUDA.match(key)]
    write(
        "requirements.lock",
        "What the pipeline needs, with hashes.",
        [base[key] for key in base if key not in cuda],
    )
    write(
        "locks/test.lock",
        "What only tests, lint and benchmarks need, with hashes.",
        [everything[key] for key in everything if key not in base and key not in cuda],
    )
    write(
        "locks/cuda.lock",
        "What torch's CUDA build needs on Linux, with hashes.",
        [everything[key] for key in cuda],
    )


if __name__ == "__main__":
    sys.exit(main())
