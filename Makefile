# `make reproduce` makes everything, `make test` tests everything; both set themselves up.
# Set PYTHON=python3.12 to build .venv from another interpreter.
PYTHON ?= python3
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
# the pipeline's commands find .venv first
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONHASHSEED := 0

.PHONY: reproduce test check lab clean bench gpu lock smoke

# Runs and notebooks go side by side, one core each (DVC itself runs one stage at a time; `dvc repro`
# alone gives the same bytes, later). The orders keep what takes longest from coming last; what waits
# for no run fills the end of training, and short stages go two at a time, for DVC takes seconds to
# start. Without waiting, it gives up after three if another of its processes holds the lock.
SIDE_BY_SIDE := -P $(JOBS) dvc --wait-for-lock repro --quiet --single-item
reproduce: .venv/pipeline  ## data, training, evaluation, notebooks, figures, paper
	dvc repro arms prepare pretrained
	(dvc stage list --name-only | grep -E '^(first|judged|seek|train)@' | sort; echo notebook@01-data traps) | xargs -n 1 $(SIDE_BY_SIDE)
	dvc stage list --name-only | grep -E '^(adapt|vary)@' | xargs -n 1 $(SIDE_BY_SIDE)
	dvc stage list --name-only | grep -E '^(evaluate|evaluate-varied|listen|measure|measure-adapted|sharpness|word_times)@|^(asked|example)$$' | sort -t@ -k2 | xargs -n 2 $(SIDE_BY_SIDE)
	dvc repro collect judge heard
	dvc stage list --name-only | grep '^notebook@' | xargs -n 2 $(SIDE_BY_SIDE)
	dvc repro

smoke: .venv/test  ## the whole pipeline in miniature, in a temporary clone
	python -m pytest tests/test_end_to_end.py

test: .venv/test  ## lint, then units, parity and the smoke pipeline on the real recordings
	ruff check . && ruff format --check .
	dvc repro --quiet prepare
	OMP_NUM_THREADS=1 python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder tests/test_end_to_end.py tests

check: .venv/pipeline  ## compare a fresh run with the committed results
	python -m focused_attention.stages.check

bench: .venv/test  ## speed against the peers, written to results
	python benchmarks/speech.py
	python benchmarks/attention.py
	python benchmarks/pretrained.py
	OMP_NUM_THREADS=1 python benchmarks/mechanisms.py

MINUTES ?= 8
gpu:  ## what only a GPU can show, MINUTES at a time, written to results/benchmark-gpu.json
	PYTHONPATH=src $(PYTHON) benchmarks/gpu.py --minutes $(MINUTES)

lab: .venv/pipeline
	jupyter lab notebooks

clean:  ## remove everything that the pipeline makes, but not .venv and not what git tracks
	rm -rf downloads data features pretrained build runs checkpoints logs

lock: .venv/pipeline  ## resolve the dependencies again; UPGRADE=1 renews what is locked
	python locks/lock.py $(if $(UPGRADE),--upgrade)

# An environment is complete when its stamp exists. uv installs in seconds what takes pip minutes;
# pip does it where uv cannot (behind a mirror that only pip's configuration knows, say). A CPU
# build of torch is taken if pip is offered one; else torch's CUDA build gets its libraries on Linux.
.venv/pipeline: requirements.lock locks/torch-cpu.lock locks/cuda.lock locks/uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv (about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r locks/torch-cpu.lock 2>/dev/null || true
	@$(PIP) --require-hashes -r locks/uv.lock 2>/dev/null || true
	@$(UV) --require-hashes -r requirements.lock 2>/dev/null || $(PIP) --require-hashes -r requirements.lock
	@python -c 'import torch' 2>/dev/null || $(PIP) --require-hashes -r locks/cuda.lock
	@$(PIP) --no-build-isolation -e .
	@touch $@

.venv/test: .venv/pipeline locks/test.lock
	@$(UV) --no-build-isolation --require-hashes -r locks/test.lock 2>/dev/null || $(PIP) --no-build-isolation --require-hashes -r locks/test.lock
	@touch $@
