PYTHON ?= python3
BIN := .venv/bin
DEMO := outputs/runs/r
COVERAGE :=

.DEFAULT_GOAL := help
.PHONY: help demo table1 test test-engines test-oldest check

help:
	@echo "make demo    train a CNN and an ST-CNN on rotated MNIST; print their table rows, draw a picture (minutes)"
	@echo "make table1  train all cells of the paper's Table 1, print it, draw it (hours; WORDS='data=r seed=1': a part)"
	@echo "make test    run the tests"
	@echo "make check   formatting, lint, types, tests with coverage"
	@echo "make test-engines   run sweeps on a Slurm and a Ray of its own (installs both; Slurm as root on Debian)"
	@echo "make test-oldest    run the tests with the oldest libraries that are allowed (Python 3.10 to 3.12)"
	@echo "Each sets itself up in .venv and fetches MNIST if it is not there."

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed, found " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/stn-data fetch
	$(BIN)/stn-train recipe=demo data=r model=cnn
	$(BIN)/stn-train recipe=demo data=r model=cnn_stn transform=affine
	@echo
	@$(BIN)/stn-table --recipe demo --rows-with-runs
	@echo
	@echo "What the transformer looks at (orange, its top edge thick) and what it makes of it:"
	@echo "  $(DEMO)/cnn_stn-affine/demo/seed1/transformer.png"

table1:
	scripts/reproduce_table1.sh $(WORDS)

test: .venv/installed-dev
	$(BIN)/stn-data fetch
	$(BIN)/pytest -n auto --maxprocesses=4 $(COVERAGE)

.venv/installed-engines: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[slurm,ray]'
	touch $@

# without the programs of Slurm the tests that need them are skipped, and say so
test-engines: .venv/installed-engines
	@PATH="$$PATH:/usr/sbin"; \
	if ! command -v slurmctld >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	        slurmctld slurmd slurm-client munge >/dev/null || echo "Slurm could not be installed"; \
	fi
	$(BIN)/stn-data fetch
	$(BIN)/pytest -m engines -rs --durations=0 --durations-min=1

.venv-oldest/installed: .venv/installed-dev
	$(PYTHON) -m venv .venv-oldest
	$(BIN)/python scripts/oldest_versions.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check --constraint .venv-oldest/constraints.txt --editable '.[dev]'
	touch $@

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/stn-data fetch
	.venv-oldest/bin/pytest -n auto --maxprocesses=4

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test COVERAGE='--cov --cov-report=term:skip-covered'
