"""The listing is the registry: one file more is one regulariser more, and the arm names it."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch

from focused_attention import regularisers
from focused_attention.params import load
from focused_attention.regularisers.base import added
from focused_attention.runs.arm import resolve
from focused_attention.training.objective import losses
from tests.training.test_loop import PARAMS, tiny_model

ROOT = Path(__file__).parents[2]


def example() -> tuple[str, str]:
    """The path and the source of the example in CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Add a regulariser")[1].split("\n## ")[0]
    code = re.search(r"```python\n(.*?)```", section, flags=re.DOTALL).group(1)
    name = re.search(r"regularisers/(\w+)\.py`", section).group(1)
    return name, "\n".join(line.removeprefix("   ") for line in code.splitlines()) + "\n"


@pytest.fixture
def newcomer(tmp_path, monkeypatch) -> str:
    """The example of CONTRIBUTING as one more file of the folder: its name."""
    name, code = example()
    for path in [*regularisers.names().values(), regularisers.FOLDER / "base.py"]:
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(regularisers, "FOLDER", tmp_path)
    monkeypatch.setattr(regularisers, "__path__", [*regularisers.__path__, str(tmp_path)])
    return name


@pytest.mark.parametrize("name", regularisers.names())
def test_every_regulariser_is_a_config_and_a_class_that_trains(name, composer):
    config, cls = regularisers.load(name)
    assert all(field.kw_only for field in dataclasses.fields(config))
    assert "https://" in cls.__doc__
    model, (regulariser,) = tiny_model(composer), regularisers.build({name: {}})
    regulariser.prepare(model)
    batch = composer.batch(composer.evaluation("digits", "dev", 3))
    parts = regularisers.wrapped(losses, [regulariser])(model, batch, PARAMS)
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_example_of_contributing_is_a_regulariser_at_once(newcomer, composer):
    assert newcomer in regularisers.names()
    model, (regulariser,) = tiny_model(composer), regularisers.build({newcomer: {"weight": 3.0}})
    regulariser.prepare(model)
    batch = composer.batch(composer.evaluation("digits", "dev", 3))
    first = regulariser.wrap(losses)(model, batch, PARAMS)
    assert (first["distance"], first["loss"]) == (0.0, first["ce"] + 0.3 * first["ctc"])
    first["loss"].backward()
    with torch.no_grad():
        model.decoder.ln.bias += 0.5  # 16 of them: a squared distance of 4
        moved = regulariser.wrap(losses)(model, batch, PARAMS)
        plain = losses(model, batch, PARAMS)
    assert float(moved["distance"]) == pytest.approx(4.0)
    assert float(moved["loss"]) == pytest.approx(float(plain["loss"]) + 12.0)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValueError, match="unknown 'entropie'; choose one of entropy"):
        regularisers.build({"entropie": {}})


def test_two_losses_of_one_name_are_refused():
    parts = {"loss": torch.tensor(1.0), "ce": torch.tensor(1.0)}
    with pytest.raises(ValueError, match="loss 'ce' is there already"):
        added(parts, "ce", torch.tensor(1.0), 0.1)


def test_an_arm_without_regularisers_is_what_it_was():
    params = load(ROOT / "params.yaml")
    plain = resolve(params, "echo")
    assert list(plain) == ["arm", "model", "heads", "sizes", "slots", "sources"]
    arm = dataclasses.replace(params.arm("echo"), regularisers={"entropy": {"weight": -1.0}})
    named = resolve(dataclasses.replace(params, arms={"echo": arm}), "echo")
    assert named["regularisers"] == {"entropy": {"weight": -1.0, "slot": "cross"}}
    added_files = named["sources"].keys() - plain["sources"].keys()
    assert added_files == {"regularisers/entropy.py", "regularisers/base.py"}
    assert {k: v for k, v in named.items() if k not in ("regularisers", "sources")} == {
        k: v for k, v in plain.items() if k != "sources"
    }
