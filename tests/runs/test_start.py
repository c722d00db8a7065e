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
    for more in ({"learning_rate": 1e-9}, {"words": [0, 3]}):
        otherwise = replace(params, adapt=replace(params.adapt, **more))
        assert session("seek", "echo-more", 4, otherwise).fingerprint != first.fingerprint
    assert session("seek", "echo", 4, moved).fingerprint != session("seek", "echo", 4).fingerprint
    assert session("seek", "echo", 4, params).fingerprint == session("seek", "echo", 4).fingerprint


def test_it_has_steps_of_its_own_and_trains_as_section_adapt_says():
    params = parameters()
    work = session("seek", "echo-more", 4, params)
    assert work.training == replace(params.adapt, steps=50)
    assert work.training.learning_rate != params.seek.learning_rate
    assert session("seek", "echo", 4, params).training == params.seek
    assert (work.stage, session("seek", "echo", 4, params).stage) == ("adapt", "seek")


@pytest.mark.parametrize(
    ("arm", "heard", "most"),
    [
        ("echo", (4, 1400, 600), [4, 2]),
        ("echo-more", ([4, 1], 0, 250), [60, 12]),
        ("echo-less", ([4, 1], 0, 250), [7, 12]),
    ],
)
def test_it_hears_other_utterances_reads_no_more_and_has_its_own_haystacks(
    arm, heard, most, monkeypatch
):
    params = parameters(MORE | {"echo-less": MORE["echo-more"] | {"words": [0, 7]}})
    asked, held = [], []

    class Haystacks:
        def __init__(self, _, bounds):
            self.bounds = bounds

        def training(self, mixture, batch_seconds, seed, curriculum=0):
            asked.append((seed, self.bounds.reading, curriculum))
            held.append([self.bounds.words[1], self.bounds.prompts[1]])
            return iter([(mixture, batch_seconds)])

    monkeypatch.setattr(seeking, "HaystackComposer", Haystacks)
    work = session("seek", arm, 4, params)
    (given,) = seeking.plans(work, Haystacks(None, params.haystack))
    section = params.seek if arm == "echo" else params.adapt
    assert given == (section.mixture, section.batch_seconds)
    assert (asked, held) == ([heard], [most])


def test_dev_utterances_are_of_the_largest_size_and_of_a_started_arm_of_the_first_one_too():
    params = parameters(MORE | {"echo-less": MORE["echo-more"] | {"words": [0, 7]}})

    class Haystacks:
        def evaluation(self, split, size, limit):
            return split, getattr(size, "words", None), getattr(size, "prompts", None), limit

    found = {
        arm: seeking.dev(session("seek", arm, 4, params), Haystacks())
        for arm in ("echo", "echo-more", "echo-less")
    }
    n = params.adapt.dev_utterances
    assert found["echo"] == {"recall": ("dev", 4, None, n), "spot": ("dev", None, 2, n)}
    longer = {"recall": ("dev", 60, None, n), "spot": ("dev", None, 12, n)}
    assert found["echo-more"] == longer | {"recall short": ("dev", 4, None, n)}
    assert found["echo-less"]["recall"] == ("dev", 7, None, n)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": "echo"}, "needs both"),
        ({"steps": 5}, "needs both"),
        ({"start": "echo", "steps": -1}, "needs both"),
        ({"words": [0, 4]}, "needs both"),
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
        ({"seeds": [1, 9]}, r"runs\.adapt\.seeds: 9 is not one of runs\.seek\.seeds"),
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
    plain = Arm(model="echo", heads=2)
    assert (plain.start, plain.steps, plain.words, plain.prompts) == ("", 0, [], [])
