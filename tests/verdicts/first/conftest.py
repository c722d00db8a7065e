"""Evidence of the first edition, with effects planted in it."""

import pytest

from focused_attention.verdicts import findings
from focused_attention.verdicts.findings import Cell
from focused_attention.verdicts.first.evidence import Evidence
from focused_attention.verdicts.first.study import Entropy, Prune, Study, Sweep
from focused_attention.verdicts.readers import READERS
from tests.verdicts.planted import (
    ASKED,
    OPTIONS,
    PAIRS,
    TEMPERATURES,
    arm_cells,
    dev_rows,
    entropy_rows,
    line,
    rates,
    timed,
    wer_rows,
)  # fmt: skip

ARMS = ("echo", "echo-cross-off", "echo-cross-learned", "echo-cross-true", "echo-cross-false")


@pytest.fixture
def study():
    return Study(
        profile="planted",
        arms=list(ARMS),
        seeds=[1, 2, 3],
        steps=1500,
        measured={name: list(ARMS) for name in ("sweep", "entropy", "prune", "guess")},
        sweep=Sweep(
            pairs=4, words=[0, 40], digits=3, prompts=[0, 9], temperatures=list(TEMPERATURES)
        ),
        entropy=Entropy(words=[0, 40], utterances=64),
        prune=Prune(pairs=4, words={"cross": [40]}),
        options=OPTIONS,
    )


@pytest.fixture
def evidence(study):
    """Evidence with these planted in: recall, spot and pruned rates, and so on."""

    def plant(arms=ARMS, recall=None, spot=None, pruned=None, far=0.5, last=0.95, **others):
        sparse = Cell("recall", 4, 40, "cross", 1.0, top_k=8)
        learned = {arm: last.get(arm, 0.95) if isinstance(last, dict) else last for arm in arms}
        return Evidence(
            study=study,
            learning=[
                findings.learning(arm, seed, 1500, dev_rows(learned[arm]))
                for arm in arms
                for seed in (1, 2, 3)
            ],
            swept={
                arm: arm_cells(recall, spot) if arm == "echo" else arm_cells(**others.get(arm, {}))
                for arm in arms
            },
            pruned={"echo": line(sparse, pruned or rates())},
            entropies={"echo": [entropy_rows(far + d) for d in (-0.01, 0.0, 0.01)]},
            guessed={},
            asked=ASKED,
            spotted={"echo": spotted} if (spotted := others.get("spotted")) else {},
            wer=others.get("wer", wer_rows()),
            pairs=others.get("pairs", PAIRS),
            arms=[{"arm": arm, "heads": str(n)} for arm, n in READERS.items()],
            timings=others.get("timings", timed()),
        )

    return plant
