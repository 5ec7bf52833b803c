PYTHON ?= python3
BIN := .venv/bin
STORE ?= fonderie-store
# Two processes, a file of tests to one of them, each with a thread: a core each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: help demo test check docs lint types install install-test clean

help:
	@echo "make demo     install, build the demonstration model, ask it three questions (minutes)"
	@echo "make test     install the test extra and run everything: lint, types, layers, unit, integration"
	@echo "make check    the fast part of it, under two minutes"
	@echo "make clean    remove caches and the demo's store; keeps .venv"

demo: install
	@$(BIN)/fonderie run recipes/demo.toml --store $(STORE)

test: install-test lint types
	$(PYTEST)

check: install-test lint types
	$(PYTEST) -m "not slow"

docs: install
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/openness.py

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Fonderie needs Python 3.11 or newer, not " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv || { echo "python3 has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-test: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf $(STORE) .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
