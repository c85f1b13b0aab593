# Everything that is needed is set up by the first target that needs it: `make demo` is enough.
# The environment is rebuilt when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.dupn-installed
VERSION = import sys; print(*sys.version_info[:2])
# A file of tests after the other in each process, which pays for the fixtures that it shares.
SIDE_BY_SIDE = -n auto --dist loadfile --no-loadscope-reorder
# Training and tests know how many threads they want; idle threads must not spin beside others.
export OMP_WAIT_POLICY = PASSIVE
export GX_ANALYTICS_ENABLED = false

.DEFAULT_GOAL := help
.PHONY: help setup asked demo test check drills up down clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP)  ## make .venv and install; every other target does so when needed

asked:
ifeq ($(origin PYTHON),command line)
	@$(PYTHON) -c '' 2>/dev/null || { echo "there is no Python at $(PYTHON)" >&2; exit 1; }
	@test ! -x $(BIN)/python || \
	test "$$($(BIN)/python -c '$(VERSION)')" = "$$($(PYTHON) -c '$(VERSION)')" || { \
	  echo "$(VENV) is of another Python than $(PYTHON). Name another folder beside it" >&2; \
	  echo "  (make PYTHON=$(PYTHON) VENV=.venv2), or run make clean first." >&2; exit 1; }
endif

$(STAMP): pyproject.toml constraints.txt | asked
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "dupn needs Python 3.11 or newer as $(PYTHON). On Debian or Ubuntu:" >&2; \
	  echo "  sudo apt-get install python3 python3-venv    (or: make PYTHON=/path/to/python3.11)" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing. On Debian or Ubuntu:" >&2; \
	  echo "  sudo apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python -a -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (a few minutes the first time)"
	@# The pip that Python brings needs nearly twice the time of a new one, which repeats what building
	@# warns of (-qq: errors alone).
	@# pip compiles on one core, and other packages' own tests as well: a third of the set-up. What
	@# compileall cannot compile was never meant for this Python, and nothing imports it.
	@start=$$(date +%s) && \
	{ $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25' || true; } && \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile \
	  --constraint constraints.txt --editable '.[dev]' && \
	{ $(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true; } && \
	echo "set-up took $$(( $$(date +%s) - start )) s" && touch $@

demo: $(STAMP)  ## a simulated marketplace through a real Airflow to a champion in MLflow
	@$(BIN)/dupn run demo

test: $(STAMP)  ## every test but the drills
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE)

check: $(STAMP)  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

drills: $(STAMP)  ## the slow, exhaustive tests
	@$(BIN)/python -m pytest -m drill $(SIDE_BY_SIDE)

up: $(STAMP)  ## start Airflow, the MLflow UI and the service; prints addresses and login
	@$(BIN)/dupn up

down: $(STAMP)  ## stop them
	@$(BIN)/dupn down

clean:  ## stop them, then remove .venv and caches (artifacts/ stays: your models are in it)
	@if [ -x $(BIN)/dupn ]; then $(BIN)/dupn down; fi
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
