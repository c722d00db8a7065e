"""Every path of the project, named once. Commands run from the repository's root."""

from pathlib import Path

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")  # what each profile changes in params.yaml
FIRST = PROFILES / "first"  # settings of the trials that the first edition of the plan judges
DOWNLOADS = Path("downloads")  # stage fetch writes the corpora here
CHECKPOINT_FILES = Path("pretrained")  # published weights, a folder per checkpoint
DATA = Path("data")  # data.dvc imports the downloads here and pins their checksum
FEATURES = Path("features")  # stage prepare: the feature store
ARMS = Path("build/arms")  # stage arms: what each arm depends on
RUNS = Path("runs")  # weights: a folder per profile and study, a file per arm and seed
CHECKPOINTS = Path("checkpoints")  # resumable training state, not an output of any stage
LOGS = Path("logs")  # step logs with timings, which differ from run to run
RESULTS = Path("results")  # small tables, committed
HEARD = RESULTS / "full"  # what Whisper itself was asked, as paper, README and notebooks show it
MACHINES = RESULTS / "machines.json"  # what every machine that was tried made of a profile
NOTEBOOKS = Path("notebooks")
EXECUTED = NOTEBOOKS / "executed"
README = Path("README.md")  # its results table is generated
MECHANISMS = Path("docs/mechanisms")  # generated whole
PAPER = Path("paper")
FIGURES = PAPER / "figures"
