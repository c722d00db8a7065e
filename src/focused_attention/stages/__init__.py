"""One module per stage of dvc.yaml, each also a command: `python -m focused_attention.stages.X`."""

import importlib.util
import sys

if missing := [m for m in ("numpy", "torch", "yaml") if importlib.util.find_spec(m) is None]:
    sys.exit(
        f"error: {sys.executable}: no module {missing[0]!r}; `make reproduce` builds .venv, which "
        "`. .venv/bin/activate` then activates"
    )
