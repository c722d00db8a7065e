"""Stage example: it agrees with what recall is asked, and its numbers are what they are called."""

import json

import numpy as np
import pytest

from focused_attention import results
from focused_attention.stages import example, measure, seek
from tests.conftest import DIGITS
from tests.stages.tiny import SMALL, prepared

LONE = {"digits": 1, "keys": 1}
ASKED = LONE | {"pairs": 2, "words": [2], "fillers": ["words"], "temperatures": [0.71, 1.0, 2.0]}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The example of a tiny arm, and by temperature what measure recall is answered to it."""
    folder = prepared(tmp_path_factory.mktemp("example"), {"measure": {"recall": ASKED}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage, argv in ((seek, ["tiny"]), (measure, ["tiny"]), (example, [])):
            stage.main(argv)
    rows = results.read_csv(folder / "results/tiny/recall/tiny-1.csv")
    answered = {
        float(row["temperature"]): (row["right"][0] == "1", row["written"][0])
        for row in rows
        if (row["slot"], row["split"]) == ("cross", "test")
    }
    return json.loads((folder / "results/tiny/example.json").read_text()), answered


def test_the_words_stand_in_order_and_the_value_follows_the_key(found):
    example, _ = found
    texts = [word["word"] for word in example["words"]]
    assert texts[texts.index(example["key"]) + 1] == example["value"]
    assert len(texts) == 2 * example["pairs"] + sum(LONE.values()) + example["hay"]
    held = SMALL["haystack"]  # the largest of training
    most = [held[name][1] for name in ("pairs", "lone_digits", "lone_keys", "words")]
    assert most == [example["pairs"], *LONE.values(), example["hay"]]
    edges = np.array([[word["start"], word["end"]] for word in example["words"]]).ravel()
    assert (np.diff(edges) >= 0).all()
    assert 0 < edges[-1] <= example["seconds"]
    assert (example["arm"], example["seed"], example["split"]) == ("tiny", 1, "test")


def test_answers_are_those_of_recall(found):
    example, answered = found
    assert [of["temperature"] for of in example["answers"]] == [0.71, 1.0, 2.0]
    for of in example["answers"]:
        right, written = answered[of["temperature"]]
        assert (of["answer"] == example["value"]) == right
        assert written == (str(DIGITS.index(of["answer"])) if of["answer"] in DIGITS else "-")
        assert sorted(of["digits"]) == sorted(DIGITS)
        assert 0 < sum(of["digits"].values()) <= 1


def test_weights_are_a_row_and_their_mass_lies_on_the_value(found):
    example, _ = found
    place = [word["word"] for word in example["words"]].index(example["key"]) + 1
    position = example["seconds_per_position"]
    start, end = (example["words"][place][edge] / position for edge in ("start", "end"))
    for of in example["answers"]:
        weights = np.array(of["weights"])
        assert len(weights) == np.ceil(round(example["seconds"] / position, 6))
        assert weights.sum() == pytest.approx(1.0, abs=1e-3)
        left = np.arange(len(weights))
        inside = (np.minimum(end, left + 1) - np.maximum(start, left)).clip(0, 1)
        assert (inside * weights).sum() == pytest.approx(of["mass"], abs=1e-3)
