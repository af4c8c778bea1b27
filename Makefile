# Everything a developer needs; a bare machine with Python 3.11+, pip and make is enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SEEDS  ?= 2000

.PHONY: up test test-cluster check planted bench soak format clean

up: $(STAMP)
	$(BIN)/pairsim up examples/three-areas.yaml

# What runs in one process uses all processors; the tests of real processes need them for one world at a time.
test: $(STAMP)
	$(BIN)/python -m pytest -n logical --dist worksteal tests/simulation tests/contract tests/unit; code=$$?; \
	$(BIN)/python -m pytest tests/process tests/browser && exit $$code

# On a Kubernetes cluster of two nodes that it makes itself; see docs/kubernetes.md for other clusters.
test-cluster: $(STAMP)
	$(BIN)/python -m pytest tests/cluster

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Plants known faults one at a time and expects their unit tests to fail; ONLY="names" for some of them.
planted: $(STAMP)
	$(BIN)/python -m tests.planted $(ONLY)

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks

# SEEDS of the simulation in virtual time; with SECONDS random experiments against real processes (needs root).
soak: $(STAMP)
ifdef SECONDS
	$(BIN)/python -m tests.process.chaos.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))
else
	$(BIN)/python -m tests.simulation.soak --seeds $(SEEDS)
endif

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
