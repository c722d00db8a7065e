"""Every measure on arrival, and what is shared: recordings are heard once, answers made once."""

import dataclasses
from collections import Counter

import pytest

from focused_attention import measures
from focused_attention.measures import Measure, Subject
from focused_attention.metrics.answers import logits, logits_at
from focused_attention.params import load
from focused_attention.paths import PARAMS
from focused_attention.runs import hearing, seeking
from focused_attention.runs.hearing import hear
from focused_attention.stages import adapt, measure, seek
from focused_attention.tasks.sizes import Recall
from tests.stages.tiny import ROOT, SMALL, prepared


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """A tiny arm that goes on from another, trained: every measure applies to it."""
    row = SMALL["arms"]["tiny"] | {"start": "tiny", "steps": 2}
    runs = {"adapt": {"start": "tiny", "arms": ["more"], "seeds": [1]}, "swept": ["more"]}
    over = {"arms": {"more": row}, "runs": runs | {"encoder": ["more"]}}
    folder = prepared(tmp_path_factory.mktemp("measures"), over)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        seek.main(["tiny"])
        adapt.main(["more"])
        work, haystacks = seeking.begin(None, ["more"])
        yield Subject(work=work, model=work.trained(), haystacks=haystacks)


@pytest.mark.parametrize("name", measures.names())
def test_a_measure_has_its_settings_in_params_and_says_how_it_is_shown(name):
    settings, cls = measures.load(name)
    params = load(ROOT / PARAMS)
    assert dataclasses.is_dataclass(params.settings(name, settings))
    assert issubclass(cls, Measure)
    assert cls.shown.by
    assert cls.shown.digits or cls.shown.numbers or cls.shown.value


def test_an_unknown_measure_is_told_those_that_there_are():
    with pytest.raises(ValueError, match=r"unknown 'recal'; choose one of .*recall"):
        measures.load("recal")


@pytest.mark.parametrize("name", measures.names())
def test_a_measure_alone_has_the_rows_that_it_has_beside_others(subject, name):
    taken, refused = measure.chosen(subject)
    assert not refused
    measure.listen(subject, list(taken.values()))
    alone, _ = measure.chosen(subject)
    measure.listen(subject, [alone[name]])
    assert alone[name].rows() == taken[name].rows()
    assert alone[name].rows()
    named = set(alone[name].rows()[0])
    shown = alone[name].shown
    assert named >= {*shown.by, *shown.digits, *shown.numbers}
    assert named >= {"metric", shown.value} or not shown.value


def test_recordings_that_several_ask_for_are_rendered_once(subject, monkeypatch):
    rendered = Counter()
    composer = type(subject.work.composer)
    render = composer.render

    def count(self, utterance):
        rendered[utterance.id] += 1
        return render(self, utterance)

    monkeypatch.setattr(composer, "render", count)
    taken, _ = measure.chosen(subject)
    pair = [taken["recall"], taken["prune"]]  # which asks for some of what that asks
    told = measure.listen(subject, pair)
    once = dict(rendered)
    rendered.clear()
    for each in pair:
        measure.listen(subject, [each])
    assert rendered.total() > sum(once.values())
    assert told["batches asked"] > told["batches"]
    assert told["asked"] > told["made"]


def test_what_is_kept_of_a_batch_is_what_would_be_made_again(subject):
    work, model = subject.work, subject.model
    utterances = subject.haystacks.evaluation("test", Recall(pairs=2, words=3), 5)
    seen = []

    def listen(heard: hearing.Heard) -> None:
        for _ in range(2):
            kept = logits_at(heard, 1.0)
            audio, mask, *_ = model.encoder(heard.batch.features, heard.batch.frames)
            assert (kept == logits(model, work.composer, heard.batch, audio, mask)).all()
        hot = logits_at(heard, 1e6)
        assert logits_at(heard, 1e6) is hot
        seen.extend(heard.batch.utterances)

    count = hear(work, model, utterances, 10.0, [listen])
    assert sorted(u.id for u in seen) == sorted(u.id for u in utterances)
    batches = count["batches"]
    assert (count["made"], count["asked"]) == (3 * batches, 6 * batches)
