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
OTHER = {"echo-other": MORE["echo-more"] | {"focus": {"mechanism": "whisper"}}}


def parameters(rows=MORE, adapt=("echo-more",), vary=(), stage="adapt", **others):
    """The pilot's, with rows like echo's, lists of arms that are started, and more of a stage's."""
    params = load(ROOT / "params.yaml")
    arms = params.arms | {name: replace(params.arms["echo"], **row) for name, row in rows.items()}
    listed = {
        name: replace(getattr(params.runs, name), arms=list(of))
        for name, of in (("adapt", adapt), ("vary", vary))
    }
    listed[stage] = replace(listed[stage], **others)
    return replace(params, arms=arms, runs=replace(params.runs, **listed))


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


@pytest.mark.parametrize(("study", "stage"), [("seek", "adapt"), ("train", "vary")])
def test_it_has_steps_of_its_own_and_trains_as_its_stages_section_says(study, stage):
    params = parameters()
    first, further = getattr(params, study), getattr(params, stage)
    plain, work = (session(study, name, 4, params) for name in ("echo", "echo-more"))
    assert work.training == replace(further, steps=50)
    assert work.training.learning_rate != first.learning_rate
    assert plain.training == first
    assert (plain.stage, work.stage) == (study, stage)
    assert (plain.draws, work.draws) == (4, [4, 1])


def test_its_two_studies_are_decided_apart():
    params = parameters()
    for study, stage in (("seek", "vary"), ("train", "adapt")):
        other = replace(getattr(params, stage), learning_rate=1e-9)
        same = session(study, "echo-more", 4, replace(params, **{stage: other}))
        assert same.fingerprint == session(study, "echo-more", 4, params).fingerprint


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
        ({"vary": ["echo"]}, r"arms\.echo\.start: expected 'echo', as runs\.vary\.start, given ''"),
        (
            {"vary": ["echo-more"], "stage": "vary", "seeds": [2]},
            r"runs\.vary\.seeds: 2 is not one of runs\.train\.seeds",
        ),
        ({"vary": ["echo-other"]}, r"runs\.vary\.arms: expected one arm .* control, given none"),
        ({"vary": ["echo-more", "echo-long"]}, r"given echo-more, echo-long"),
    ],
)
def test_lists_that_cannot_be_are_refused_by_name(changes, message):
    check_starts(parameters())
    check_starts(parameters(adapt=()))
    check_starts(parameters(vary=("echo-more", "echo-other"), rows=MORE | OTHER))
    with pytest.raises(UserError, match=message):
        check_starts(parameters(**{"rows": MORE | OTHER} | changes))


@pytest.mark.parametrize(("study", "stage"), [("seek", "adapt"), ("train", "vary")])
def test_an_arm_with_a_start_is_not_trained_from_nothing(study, stage):
    params = parameters()
    listed = replace(getattr(params.runs, study), arms=["echo", "echo-more"])
    message = rf"runs\.{study}\.arms: echo-more has a start; list it in runs\.{stage}\.arms"
    with pytest.raises(UserError, match=message):
        check_starts(replace(params, runs=replace(params.runs, **{study: listed})))


def test_an_arm_without_a_start_cannot_go_on():
    with pytest.raises(UserError, match=r"arms\.echo: has no start"):
        start.adopt(session("seek", "echo", 4))


def test_rows_have_no_start_unless_they_say_so():
    plain = Arm(model="echo", heads=2)
    assert (plain.start, plain.steps, plain.words, plain.prompts) == ("", 0, [], [])
