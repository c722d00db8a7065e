"""Write the lock files from pyproject.toml: `make lock`; `make lock UPGRADE=1` renews all versions.

One universal resolution (Linux and macOS, every supported Python), cut in three so that nobody
installs what they do not need:

    requirements.lock  what the pipeline needs
    locks/test.lock    what tests, lint and benchmarks need besides
    locks/cuda.lock    what torch's CUDA build needs on Linux; skipped with a CPU build of torch

Without UPGRADE, versions already locked stay: another version may compute other bytes. All with
hashes and without any index. locks/torch-cpu.lock and locks/uv.lock are kept by hand.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = ["requirements.lock", "locks/test.lock", "locks/cuda.lock"]
TORCH = "torch==2.13.0"  # a CPU build of this version is known to locks/torch-cpu.lock
BUILD = ["flit_core", "setuptools"]  # to build this package, and openai-whisper from source
CUDA = re.compile(r"(nvidia-|cuda-|triton==)")


def resolve(extra: str | None, requirements: Path, preferred: Path) -> dict[str, str]:
    """Requirement lines of one resolution, with their hashes, by their first line.

    Versions in `preferred` stay where they can; the resolution is written there.
    """
    command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--quiet"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"]
    command += ["pyproject.toml", str(requirements), "--output-file", str(preferred)]
    if extra:
        command += ["--extra", extra]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    text = preferred.read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {block.split(" \\")[0].strip(): block for block in blocks if block.strip()}


def write(path: str, what: str, blocks: list[str]) -> None:
    Path(path).write_text(f"# {what} Written by `make lock`.\n" + "".join(blocks), encoding="utf-8")


def main(upgrade: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirements, preferred = Path(folder, "requirements.in"), Path(folder, "preferred.txt")
        requirements.write_text("\n".join([TORCH, *BUILD]), encoding="utf-8")
        if not upgrade:
            locked = [Path(path).read_text(encoding="utf-8") for path in LOCKS]
            preferred.write_text("".join(locked), encoding="utf-8")
        everything = resolve("test", requirements, preferred)
        base = resolve(None, requirements, preferred)
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
    sys.exit(main(upgrade="--upgrade" in sys.argv[1:]))
