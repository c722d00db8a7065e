"""params.yaml: the committed one is whole, and every mistake is one line that names the key."""

import copy
import re
import shutil
from pathlib import Path

import pytest
import yaml

from focused_attention import attention, params
from focused_attention.errors import UserError
from focused_attention.params import load
from focused_attention.runs.arm import resolve
from focused_attention.schema import overlay, read

ROOT = Path(__file__).parents[1]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


@pytest.fixture
def written(tmp_path):
    """Write params.yaml with `changes` merged in, and return its path."""

    def write(changes: dict) -> Path:
        path = tmp_path / "params.yaml"
        base = yaml.safe_load((ROOT / "params.yaml").read_text())
        path.write_text(yaml.safe_dump(overlay(base, changes)))
        return path

    return write


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """params.yaml and profiles/ in a folder that is made the current one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)#.*$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_whole_and_keeps_the_comments(profile, clone):
    text = clone.read_text()
    wanted = overlay(read(clone), read(Path(f"profiles/{profile}.yaml")))
    over = load(profile=profile)
    params.main([profile])
    assert load() == over
    assert read(clone) == wanted
    assert over.profile == profile
    assert over.findings == profile
    assert (
        over.finished == over.judged == []
    )  # they change what the pilot is, so they need its params.yaml
    stripped = [[comment.strip() for comment in comments(t)] for t in (text, clone.read_text())]
    assert stripped[0] == stripped[1]
    once = clone.read_text()
    params.main([profile])
    assert clone.read_text() == once


def test_a_profile_is_not_written_over_another(clone):
    params.main(["smoke"])
    for write in (lambda: params.main(["full"]), lambda: load(profile="full")):
        with pytest.raises(UserError, match=r"holds profile 'smoke'.*git checkout params\.yaml"):
            write()


ECHO = {"model": "echo", "heads": 8, "focus_blocks": 1}


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        ({"like": "echo"}, {}),
        ({"like": "echo", "heads": 4}, {"heads": 4}),
        (
            {"like": "base", "cross": {"span": 2}},
            {"cross": {"mechanism": "a", "top": 1, "span": 2}},
        ),
        ({"like": "base", "cross": {"mechanism": "b"}}, {"cross": {"mechanism": "b"}}),
        (
            {"like": "base", "focus": {"mechanism": "b"}},
            {"cross": {"mechanism": "a", "top": 1}, "focus": {"mechanism": "b"}},
        ),
    ],
    ids=["all", "field", "setting", "mechanism", "slot"],
)
def test_an_arm_is_like_another_but_for_what_its_row_says(row, whole):
    arms = {"new": row, "echo": ECHO}
    arms["base"] = {"like": "echo", "cross": {"mechanism": "a", "top": 1}}
    before = copy.deepcopy(arms)
    assert params.written_out(arms, "params.yaml")["new"] == ECHO | whole
    assert arms == before


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"a": {"like": "ehco"}}, "arms.a: like: unknown arm 'ehco'; choose one of a, "),
        ({"a": {"like": ["echo"]}}, "arms.a: like: unknown arm"),
        ({"a": {"like": "a"}}, "arms.a: a is like a; write one of them with a `model`"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "a is like b is like a; write one"),
        ({"a": 3}, "arms.a: expected a mapping, given 3"),
        ({"a": {"like": "echo", "head": 3}}, "arms.a: unknown key 'head'"),
    ],
)
def test_an_arm_that_is_like_none_is_one_line(written, arms, message):
    with pytest.raises(UserError) as error:
        load(written({"arms": arms}))
    assert message in str(error.value)
    assert "params.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_every_arm_of_the_committed_file_resolves():
    loaded = load(ROOT / "params.yaml")
    assert loaded.profile == "pilot"
    for name in loaded.arms:
        arm = resolve(loaded, name)
        assert {slot["mechanism"] for slot in arm["slots"].values()} <= attention.names().keys()


def test_an_arm_does_not_depend_on_another_arms_settings(written):
    before = resolve(load(written({})), "whisper")
    others = {"echo": {"heads": 4}, "new": {"model": "echo", "heads": 8}}
    after = resolve(load(written({"arms": others})), "whisper")
    assert before == after


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trian": {}}, "top level: unknown key 'trian'"),
        ({"train": {"step": 3}}, "train: unknown key 'step'; known keys: arithmetic"),
        ({"train": {"steps": "many"}}, "train.steps: expected int, given 'many'"),
        ({"train": {"steps": True}}, "train.steps: expected int, given True"),
        ({"runs": {"train": {"seeds": ["one"]}}}, "runs.train.seeds[0]: expected int"),
        ({"runs": {"train": {"arms": ["whisper", "ehco"]}}}, "unknown arm 'ehco'"),
        ({"arms": {"echo": {"head": 3}}}, "arms.echo: unknown key 'head'"),
        ({"tasks": 3}, "tasks: expected a mapping"),
        (
            {"seek": {"arithmetic": "avx2"}},
            "seek.arithmetic: expected canonical or native, given 'avx2'",
        ),
        (
            {"seek": {"arithmetic": ["native"]}},
            "seek.arithmetic: expected canonical or native, given ['native']",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_and_key(written, changes, message):
    with pytest.raises(UserError) as error:
        load(written(changes))
    assert message in str(error.value)
    assert "params.yaml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"model": "whispr", "heads": 8}, "model: unknown 'whispr'"),
        ({"model": "whisper", "heads": 8, "encoder": {"mechanism": "sofmax"}}, "unknown 'sofmax'"),
        ({"model": "echo", "heads": 8, "encoder": {"mechanism": "rotary", "bas": 1}}, "'bas'"),
        ({"model": "whisper", "heads": 8, "focus": {"mechanism": "rotary"}}, "no such slot"),
        ({"model": "whisper", "heads": 8, "focus_blocks": 1}, "no focus blocks"),
        ({"model": "echo", "heads": 8, "encoder": {"base": 1}}, "'mechanism'"),
    ],
)
def test_a_mistake_in_an_arm_names_the_arm(written, arm, message):
    loaded = load(written({"arms": {"wrong": arm}}))
    with pytest.raises(UserError, match=r"params\.yaml: arms\.wrong") as error:
        resolve(loaded, "wrong")
    assert message in str(error.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="run from the repository's root"):
        load(tmp_path / "params.yaml")


def test_a_missing_key_is_named(written, tmp_path):
    path = written({})
    content = yaml.safe_load(path.read_text())
    del content["train"]["clip"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="train: missing key 'clip'"):
        load(path)


def test_off_is_a_word_as_dvc_writes_it(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: {schedule: off, longer: true, shorter: false, word: trueish}")
    assert read(path)["a"] == {
        "schedule": "off", "longer": True, "shorter": False, "word": "trueish"
    }  # fmt: skip
