# `make` or `make help` lists the targets.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
# Tests call ruff as the generated code's readers do.
export PATH := $(abspath $(BIN)):$(PATH)
TORCH   = torch==2.13.0

# What generated/ holds, kept current by `make check`.
GENERATED = specs/deepseek_v3.dsv3@v3_671b specs/deepseek_v3.dsv3@v2_lite_16b \
            specs/dsv3_table.dsv3 specs/llama.dsv3@llama3_8b

.DEFAULT_GOAL := help
.PHONY: help setup check lint types test test-fast current generated accept format bench speed sweep \
        check-oldest check-pythons check-consumers fuzz clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## create .venv with everything that the tests need

# torch goes first and stays pinned: a range would take a build with gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' $(TORCH)
	@touch $@

check: setup lint types test current  ## everything: sets up, lints, types, tests; what CI runs

lint: setup  ## ruff: rules and format; import-linter: which room may know which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup  ## mypy --strict
	$(BIN)/mypy

# Each of the two takes half of the files, so that what a file works out once it works out once;
# who is done first takes over from the other.
PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal

test: setup  ## all tests
	$(PYTEST)

test-fast: setup  ## the quick tests, without models: under a minute
	$(PYTEST) -m "not slow"

current: setup  ## fail where generated/ is not what the compiler writes today
	$(BIN)/specgen build $(GENERATED) --check

generated: setup  ## write generated/ anew
	$(BIN)/specgen build $(GENERATED)

accept: setup  ## take today's output as right: tables, goldens, docs, generated/; read the diff
	$(BIN)/python -m specgen.language.prebuilt
	$(BIN)/python -m specgen.frontend.shipped
	$(BIN)/specgen build $(GENERATED)
	$(BIN)/python docs/generate.py
	SPECGEN_ACCEPT=1 $(BIN)/python -m pytest -m "not slow" -q

format: setup  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup  ## measure the start-up against transformers, side by side
	$(BIN)/python benchmarks/startup.py

speed: setup  ## measure model.py against transformers, side by side: half an hour
	$(BIN)/python benchmarks/speed.py --compiled

sweep: setup  ## measure a million configurations
	$(BIN)/python benchmarks/sweep.py

check-oldest:  ## the fast tests with the oldest releases that pyproject allows
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	  $$($(PYTHON) -c "$$OLDEST") pytest hypothesis interegular onnx==1.19.0
	$(VENV)-oldest/bin/python -m pytest -m "not slow" -q

PYTHONS ?= 3.11 3.12.1 3.12 3.13 3.14

check-pythons:  ## the fast tests under each of PYTHONS that is here or that uv can fetch
	$(PYTHON) tests/project/pythons.py $(PYTHONS)

check-consumers: setup  ## static graphs in runtimes and compilers, each in .venv-consumers/; writes docs/consumers.md
	$(BIN)/python -m tests.consumers

SPECS       ?= 20000
CONFIGS     ?= 3000
CHECKPOINTS ?= 1500
SEED        ?= 1

fuzz: setup  ## new draws for every property; damaged inputs: SPECS=, CONFIGS=, CHECKPOINTS=, SEED=
	SPECGEN_DRAWS=new SPECGEN_EXAMPLES=1500 $(BIN)/python -m pytest -n 2 -q -o faulthandler_timeout=3600 $$(grep -rl "^from hypothesis" tests --include='test_*.py')
	$(BIN)/python -m tests.fuzz.campaign --specs $(SPECS) --configs $(CONFIGS) \
	  --checkpoints $(CHECKPOINTS) --seed $(SEED)

define OLDEST
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*(text.split(",")[0].replace(">=", "==") for text in project["dependencies"]))
endef
export OLDEST

clean:  ## remove what the targets above made, .venv included
	rm -rf $(VENV) $(VENV)-oldest .venv-pythons .venv-consumers .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
