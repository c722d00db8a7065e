"""The traps of the published modules: one file, the same bytes on every run, a row a trap."""

import json
from pathlib import Path

from focused_attention.metrics import traps as traps_of_the_source
from focused_attention.stages import traps


def test_two_runs_give_the_same_bytes(house):
    path = Path("results/pilot/traps.json")
    written = []
    for _ in range(2):
        path.unlink()
        traps.main([])
        written.append(path.read_bytes())
    assert written[0] == written[1]
    rows = json.loads(written[0])["traps"]
    assert [row["trap"] for row in rows] == ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii"]
    assert all({"says", "does", "cost", "numbers"} < row.keys() for row in rows)
    revisions = {row["trap"]: row["revision"] for row in rows}
    assert revisions.pop("i") == traps_of_the_source.LATER  # the pinned one calls no SDPA
    assert set(revisions.values()) == {traps_of_the_source.PINNED}
