"""train and evaluate where only PyTorch, NumPy, PyYAML and safetensors are, or nothing is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from focused_attention.schema import overlay

ROOT = Path(__file__).parents[2]
SMALL = {
    "profile": "alone",
    "model": {"width": 16, "encoder_layers": 2, "decoder_layers": 1},
    "tasks": {"max_seconds": 2.0},
    "runs": {"train": {"arms": ["tiny"]}},
    "train": {
        "steps": 4, "batch_seconds": 6.0, "warmup": 2, "log_every": 2,
        "dev_every": 4, "dev_utterances": 3, "checkpoint_every": 4,
    },
    "evaluate": {"utterances": {"digits": 3, "words": 3}, "beam": 2, "max_tokens": 6},
    "arms": {"tiny": {"model": "echo", "heads": 2, "focus_blocks": 1}},
}  # fmt: skip
# a module that is None in sys.modules is not to be found: what a GPU machine need not have
REFUSE = """
import sys
for name in ("av", "dvc", "jiwer", "matplotlib", "pandas", "papermill", "rapidfuzz",
             "rapidfuzz.distance.Levenshtein", "ruamel", "sacrebleu", "scipy", "seaborn",
             "statsmodels", "tokenizers", "tqdm", "typst", "whisper", "whisper_normalizer"):
    sys.modules[name] = None
from focused_attention.stages import evaluate, train
train.main(["tiny", "--seed", "1"])
evaluate.main(["tiny", "--seed", "1"])
"""


@pytest.fixture
def machine(tiny_store, tmp_path):
    """A folder with a prepared feature store and parameters, and nothing else."""
    source = Path(tiny_store._frames.filename).parent
    shutil.copytree(source, tmp_path / "features")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(overlay(params, SMALL)))
    return tmp_path


def test_train_and_evaluate_need_pytorch_numpy_pyyaml_and_safetensors_alone(machine):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REFUSE], cwd=machine, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (machine / "runs/alone/train/tiny-1.safetensors").exists()
    assert (machine / "results/alone/evaluate/tiny-1.csv").exists()


def test_without_an_environment_the_error_is_one_line_with_a_cure(machine):
    # -S: no site-packages, as the interpreter of a machine on which nothing was installed
    done = subprocess.run(
        [sys.executable, "-S", "-m", "focused_attention.stages.train", "tiny"], cwd=machine,
        env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "make reproduce" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in machine.iterdir()) == ["features", "params.yaml"]
