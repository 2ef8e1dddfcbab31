# The verbs of this repository. Needs Python 3.11+, make and a package index; nothing else.
#
#   make test                     sets up .venv by itself, once, and again when the pins change
#   make test PYTHON=python3.13   with another interpreter
#   make test ARGS='-k pricing'   with arguments for pytest

PYTHON ?= python3
VENV ?= .venv
# What is tested: the checkout here, the built wheel in CI (.ci/run).
PACKAGE ?= --editable=.[dev]
DATA ?= ../shared/data
ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# What is compiled is kept, whatever the machine says: each worker compiles all tests else.
export PYTHONDONTWRITEBYTECODE :=
# Many tests wait for a process or a port; a file stays with one worker, and long ones come first.
WORKERS ?= 4
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# The floors without I/O: every branch of theirs is tested.
PURE := */farthing/errors.py,*/farthing/wire/*,*/farthing/pricing/*,*/farthing/core/*
# What shows that levers save, what they cost, and that they break nothing.
SAVINGS := savings claims competitors shadow flips planning fanout
REFERENCES := $(basename $(notdir $(wildcard scripts/*_reference.py)))

.DEFAULT_GOAL := help
.PHONY: help install fmt lint types test cover bench bench-savings bench-guard demo check check-full pins

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(READY)  ## Set up .venv: farthing, editable, and everything that checks it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("farthing needs Python 3.11 or newer, this is %s; say which: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt '$(PACKAGE)'
	@touch $@

fmt: $(READY)  ## Format, fix what can be fixed, regenerate the reference pages
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	@for page in $(REFERENCES); do $(BIN)/python -m scripts.$$page; done

lint: $(READY)  ## Format check, all rules, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: $(READY)  ## Strict types, whole tree
	$(BIN)/mypy

test: $(READY)  ## All tests but the long ones
	$(PYTEST) $(PARALLEL) $(ARGS)

cover: $(READY)  ## The same with coverage; the pure floors must reach 100 % of branches
	$(PYTEST) $(PARALLEL) --cov=farthing --cov-report= $(ARGS)
	@echo "--- branch coverage, all packages (reported)"
	@$(BIN)/coverage report --format=total
	@echo "--- branch coverage, floors 0-3 (gated at 100 %)"
	@$(BIN)/coverage report --include='$(PURE)' --fail-under=100

bench: $(READY)  ## Every program in benchmarks/, as tables
	@for program in $$(grep -l -e '"--data"' benchmarks/*.py); do echo "== $$program"; $(BIN)/python $$program --data $(DATA) || exit 1; done

bench-savings: $(READY)  ## What levers save and cost: bills, claims, others, flips, planning, fan-out
	@for program in $(SAVINGS); do echo "== $$program"; $(BIN)/python benchmarks/$$program.py --data $(DATA) || exit 1; done

bench-guard: $(READY)  ## Budgets under fire, loops told from work, and what looking costs
	$(BIN)/python benchmarks/guard.py --data $(DATA)

demo: $(READY)  ## A generated scenario without and with the prompt cache: two bills
	@$(BIN)/farthing demo

check: lint types cover  ## What CI runs: at most 8 minutes on 2 cores

check-full: check  ## The same, then the long tests: 10^5 fuzz bodies, client matrices, kills
	$(PYTEST) -m long $(ARGS)

pins:  ## Renew constraints.txt from a fresh environment
	rm -rf build/pins
	$(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	build/pins/bin/python -m pip freeze | grep -E '^[A-Za-z0-9._-]+==' | grep -v '^farthing==' > constraints.txt
	rm -rf build/pins
