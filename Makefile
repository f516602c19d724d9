# Every target makes its own environment in .venv; Python 3.11 with pip is all it needs.
# `make help` lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
# uv from the machine if it is there, else from the environment itself.
UV      = $$(command -v uv || echo $(BIN)/uv)
# All of the environment and our own code, for when imports happen often or are measured.
COMPILE = $(BIN)/python -m compileall -q -j 0 $(VENV)/lib src

SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r target text; \
	  do printf '  make %-12s %s\n' "$$target" "$$text"; done

# -- environments: one folder, more in it from stamp to stamp ---------------------------------------

$(VENV)/.stamp-env:
	@"$(PYTHON)" -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@"$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear --without-pip $(VENV)
	@command -v uv >/dev/null || "$(PYTHON)" -m pip --python $(BIN)/python install --quiet uv
	@touch $@

$(VENV)/.stamp-run: pyproject.toml constraints.txt $(VENV)/.stamp-env
	@"$(UV)" pip install --quiet --python $(BIN)/python -c constraints.txt -e .
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-run
	@"$(UV)" pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[test]'
	@# All at once: where Python may not do it by itself, each of a thousand processes would.
	@# (uv's --compile-bytecode leaves out what an earlier command has installed.)
	@$(COMPILE)
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-run
	@"$(UV)" pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-test $(VENV)/.stamp-docs
	@"$(UV)" pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: env
env: $(VENV)/.stamp-dev ## Make the environment for working on Beampipe (.venv)
	@echo 'Now: source $(BIN)/activate'

# -- what people ask for ----------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.stamp-run ## Make data, run a dimuon analysis on it, prove and plot the result (in demo/)
	@rm -rf demo && mkdir demo
	$(BIN)/beampipe make-data demo/data --files 8 --events 50000
	$(BIN)/beampipe run examples/dimuon.py:process demo/data --run-dir demo/run --name "Dimuon spectrum"
	$(BIN)/beampipe verify demo/run
	$(BIN)/beampipe plot demo/run --output demo
	$(BIN)/beampipe report demo/run --output demo/report.html
	@printf '\nDone. Look at:\n'; ls demo/*.png demo/*.html | sed 's/^/  /'

.PHONY: test
test: lint ## Check everything: lint, then all tests
	@# Of two cores: what is told to real batch systems mostly waits for them (tests/farms/conftest.py).
	$(BIN)/python -m pytest -n 5 --dist worksteal

.PHONY: chaos
chaos: $(VENV)/.stamp-test ## Kill, stop, cut off and damage everything, a hundred times (half an hour, root)
	$(BIN)/python -m tests.chaos

.PHONY: lint
lint: $(VENV)/.stamp-test ## Check style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: docs
docs: $(VENV)/.stamp-docs ## Build the documentation into docs/_build/html, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'Look at docs/_build/html/index.html'

.PHONY: bench
bench: $(VENV)/.stamp-run ## Race Beampipe with what one would use instead, write the tables (an hour)
	@$(COMPILE) # imports are measured, not their compilation
	$(BIN)/python -m benchmarks.race --page docs/explanation/benchmarks.md

.PHONY: bench-parts
bench-parts: $(VENV)/.stamp-run ## Measure planning, driver, memory and the demo by themselves
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/demo_rate.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/driver.py

.PHONY: bench-scale
bench-scale: $(VENV)/.stamp-run ## Drive up to 10,000 simulated workers through Dask's real scheduler (a quarter of an hour)
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/scale.py --workers 200 --chunks 1000000 --chunk-s 0.02
	$(BIN)/python benchmarks/scale.py --workers 10000 --chunks 1000000 --chunk-s 2 --deaths 0.001

.PHONY: bench-faults
bench-faults: $(VENV)/.stamp-test ## Give the same faults to Beampipe and to coffea, and compare what comes back
	$(BIN)/python benchmarks/faults.py --page docs/explanation/chaos.md

.PHONY: constraints
constraints: | $(BIN)/python ## Choose the newest versions of everything again (constraints.txt)
	"$(UV)" pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate --all-extras \
	  pyproject.toml -o constraints.txt

.PHONY: clean
clean: ## Remove what the targets above made
	rm -rf $(VENV) demo docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
