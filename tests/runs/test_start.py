"""Arms that go on from trained weights: what decides them, what they hear, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from focused_attention.errors import UserError
from focused_attention.params import Arm, load
from focused_attention.runs import seeking, start
from focused_attention.runs.arm import check_starts, of_study, resolve
from tests.runs.test_session import session

ROOT = Path(__file__).parents[2]
MORE = {"echo-more": {"start": "echo", "steps": 50}}


def parameters(rows=MORE, adapt=("echo-more",), **others):
    """The pilot's, with rows like echo's and a list of arms that are started."""
    params = load(ROOT / "params.yaml")
    arms = params.arms | {name: replace(params.arms["echo"], **row) for name, row in rows.items()}
    runs = replace(params.runs, adapt=replace(params.runs.adapt, arms=list(adapt), **others))
    return replace(params, arms=arms, runs=runs)


def test_a_started_arm_holds_all_that_decides_its_start():
    params = parameters()
    started, plain = resolve(params, "echo-more"), resolve(params, "echo")
    assert started == plain | {"arm": "echo-more", "start": plain, "steps": 50}
    studied = of_study(started, params.seek)
    assert studied["start"] == of_study(plain, params.seek)


def test_it_is_trained_anew_when_its_start_is():
    params = parameters()
    first = session("seek", "echo-more", 4, params)
    other = replace(params.arms["echo"], heads=4)
    moved = replace(params, arms=params.arms | {"echo": other})
    assert session("seek", "echo-more", 4, moved).fingerprint != first.fingerprint
    longer = replace(params, seek=replace(params.seek, steps=params.seek.steps + 1))
    assert session("seek", "echo-more", 4, longer).fingerprint != first.fingerprint
    assert session("seek", "echo", 4, moved).fingerprint != session("seek", "echo", 4).fingerprint
    assert session("seek", "echo", 4, params).fingerprint == session("seek", "echo", 4).fingerprint


def test_it_has_steps_of_its_own_and_the_studys_schedule():
    params = parameters()
    work = session("seek", "echo-more", 4, params)
    assert work.training == replace(params.seek, steps=50)
    assert session("seek", "echo", 4, params).training == params.seek
    assert (work.stage, session("seek", "echo", 4, params).stage) == ("adapt", "seek")


@pytest.mark.parametrize(
    ("arm", "heard"), [("echo", (4, 1400, 600)), ("echo-more", ([4, 1], 0, 0))]
)
def test_it_hears_other_utterances_and_of_all_sizes_from_the_first(arm, heard, monkeypatch):
    params = parameters()
    grown = params.haystack.reading, params.seek.curriculum
    asked = []

    class Haystacks:
        def __init__(self, _, bounds):
            self.bounds = bounds

        def training(self, mixture, batch_seconds, seed, curriculum=0):
            asked.append((seed, self.bounds.reading, curriculum))
            return iter([(mixture, batch_seconds)])

    monkeypatch.setattr(seeking, "HaystackComposer", Haystacks)
    work = session("seek", arm, 4, params)
    (given,) = seeking.plans(work, Haystacks(None, params.haystack))
    assert given == (params.seek.mixture, params.seek.batch_seconds)
    assert asked == [heard]
    assert grown == (1400, 600)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": "echo"}, "needs both"),
        ({"steps": 5}, "needs both"),
        ({"start": "echo", "steps": -1}, "needs both"),
        ({"start": "ehco", "steps": 5}, "start: unknown arm 'ehco'; choose"),
        ({"start": "echo-more", "steps": 5}, "has a start itself; name"),
        ({"regularisers": {"entropie": {}}}, "unknown 'entropie'; choose one of entropy"),
        ({"regularisers": {"entropy": {"wait": 1}}}, "unknown setting 'wait'"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_name(row, message):
    params = parameters(MORE | {"wrong": row})
    with pytest.raises(UserError, match=rf"params\.yaml: arms\.wrong: .*{message}"):
        resolve(params, "wrong")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapt": ["echo"]}, r"arms\.echo\.start: expected 'echo', .* given ''"),
        ({"seeds": [4, 9]}, r"runs\.adapt\.seeds: 9 is not one of runs\.seek\.seeds"),
        (
            {"start": "whisper", "rows": {"echo-more": {"start": "whisper", "steps": 5}}},
            r"runs\.adapt\.start: whisper is not one of runs\.seek\.arms",
        ),
    ],
)
def test_lists_that_cannot_be_are_refused_by_name(changes, message):
    check_starts(parameters())
    check_starts(parameters(adapt=()))
    with pytest.raises(UserError, match=message):
        check_starts(parameters(**changes))


def test_an_arm_with_a_start_is_not_trained_from_nothing():
    params = parameters()
    runs = replace(params.runs, seek=replace(params.runs.seek, arms=["echo", "echo-more"]))
    with pytest.raises(UserError, match=r"runs\.seek\.arms: echo-more has a start; list it in"):
        check_starts(replace(params, runs=runs))


def test_an_arm_without_a_start_cannot_go_on():
    with pytest.raises(UserError, match=r"arms\.echo: has no start"):
        start.adopt(session("seek", "echo", 4))


def test_rows_have_no_start_unless_they_say_so():
    assert (Arm(model="echo", heads=2).start, Arm(model="echo", heads=2).steps) == ("", 0)
