# Everything a newcomer needs: `make quickstart`, then `make test`. Needs Python 3.11+ and make, nothing else.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
STAMP := $(VENV)/.synced
export UV_PYTHON_DOWNLOADS = never

.PHONY: help setup quickstart test test-jobs test-long torture fuzz check format bench conformance lock clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with everything development needs

.tools/bin/uv:
	@test -n "$(PYTHON)" || { echo "Lazulite needs Python 3.11, 3.12 or 3.13: install one, or name it with make PYTHON=/path/to/python"; exit 1; }
	@echo "Fetching uv, which installs everything else ..."
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet uv

$(STAMP): requirements-dev.txt pyproject.toml | $(filter .tools/bin/uv,$(UV))
	@test -n "$(PYTHON)" || { echo "Lazulite needs Python 3.11, 3.12 or 3.13: install one, or name it with make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or so) ..."
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python requirements-dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

quickstart: $(STAMP)  ## start the platform and train a real model through the unmodified SDK
	@$(BIN)/python examples/quickstart/quickstart.py

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-jobs: $(STAMP)  ## the tests that run jobs: once more after installing bubblewrap or podman
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/clients tests/integration tests/contract

test-long: $(STAMP)  ## the tests that try random cases, with many more of them
	LAZULITE_TEST_LONG=1 $(BIN)/python -m pytest -n 2 --dist load -m long

torture: $(STAMP)  ## kill servers, agents and jobs under load, at every level of isolation: make torture [ROUNDS=60] [SEED=1]
	$(BIN)/python -m tests.torture $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED))

fuzz: $(STAMP)  ## 30,000 malformed requests: make fuzz [REQUESTS=30000] [SEED=1]
	$(BIN)/python -m tests.fuzz $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED))

check: $(STAMP)  ## format, lint, strict types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## measure, and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

conformance: $(STAMP)  ## run labs and examples from checkouts: make conformance LABS=DIR MLOPS=DIR ASSETS=DIR EXAMPLES=DIR MLFLOW=DIR CLIENTS=1 [MANIFEST=FILE]
	$(BIN)/python -m conformance $(if $(LABS),--labs "$(LABS)") $(if $(MLOPS),--mlops "$(MLOPS)") $(if $(EXAMPLES),--examples "$(EXAMPLES)") $(if $(ASSETS),--assets "$(ASSETS)") $(if $(MLFLOW),--mlflow "$(MLFLOW)") $(if $(CLIENTS),--clients) $(if $(MANIFEST),--manifest "$(MANIFEST)")

lock: | $(filter .tools/bin/uv,$(UV))  ## resolve the development environment anew
	$(UV) pip compile --quiet pyproject.toml --group dev --universal --no-header --python-version 3.11 -o requirements-dev.txt

clean:  ## remove what setup, the quickstart and the tests made
	@for home in .quickstart .conformance; do [ ! -f $$home/server.json ] || $(BIN)/lazulite down --home $$home; done
	rm -rf .quickstart .conformance $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
