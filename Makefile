# `make demo` and `make test` need git, make and Python 3.11 or newer; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0+cpu
TORCHVENV := .venv-torch
STAMP := $(VENV)/.installed
DEVSTAMP := $(VENV)/.installed-test
DOCSTAMP := $(VENV)/.installed-docs
BENCHSTAMP := $(VENV)/.installed-bench
NOTESTAMP := $(VENV)/.installed-notebooks

.PHONY: demo test test-quick test-torch test-lowest test-newest lint format bench notebooks notebooks-quick docs docs-phone nightly wheel clean help

help:
	@echo "make demo     codes, certificates and retrieval numbers on digits -> report/index.html"
	@echo "make test     the whole test suite"
	@echo "make test-torch  the tests of nets, with the CPU build of torch in .venv-torch"
	@echo "make lint     ruff and pyright"
	@echo "make bench    solvers, bounds, codes, hashing, search, growth beside peers -> benchmarks/results/short/index.html"
	@echo "make notebooks  execute all notebooks again; make notebooks-quick runs two of them and writes nothing"
	@echo "make docs     the documentation site -> docs/_build/html; warnings and broken links are errors"
	@echo "make docs-phone  the same, and its pages in a headless Chromium of a phone's width, light and dark"
	@echo "make nightly  long property tests, lowest and newest versions of what we depend on, the wheel"

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Cannot create $(VENV): this Python has no venv module (Debian: apt-get install python3-venv)."; rm -rf $(VENV); exit 1; }
	@$(BIN)/python -c 'import sys; v = sys.version.split()[0]; sys.exit(0 if sys.version_info >= (3, 11) else f"Python 3.11 or newer is needed, this is {v}. Pass PYTHON=/path/to/python3.12.")' \
		|| { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEVSTAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP)
	$(BIN)/hashers compare --dataset digits --bits 16,32,64 --functions linear,kernel --report report
	@echo "Open report/index.html in a browser."

test: $(DEVSTAMP)
	$(BIN)/python -m pytest -n 2 -q

$(TORCHVENV)/.installed: pyproject.toml
	@test -x $(TORCHVENV)/bin/python || $(PYTHON) -m venv $(TORCHVENV)
	$(TORCHVENV)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
		--extra-index-url https://download.pytorch.org/whl/cpu '$(TORCH)'
	$(TORCHVENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,torch]'
	@touch $@

test-torch: $(TORCHVENV)/.installed
	$(TORCHVENV)/bin/python -m pytest -n 2 -q tests/torch

test-quick: $(DEVSTAMP)
	$(BIN)/python -m pytest -n 2 -q -m "not slow"

lint: $(DEVSTAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error

format: $(DEVSTAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BENCHSTAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench,flow,index]'
	@touch $@

bench: $(BENCHSTAMP)
	$(BIN)/python -m benchmarks

$(NOTESTAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	@touch $@

notebooks: $(NOTESTAMP)
	$(BIN)/python notebooks/run.py

notebooks-quick: $(NOTESTAMP)
	$(BIN)/python notebooks/run.py --check --slow 04_graph_cut_icm_qpbo 06_map_protocols

$(DOCSTAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

docs: $(DOCSTAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py
	@echo "Open docs/_build/html/index.html in a browser."

docs-phone: docs
	$(BIN)/python docs/check_site.py --browser

nightly: $(DEVSTAMP) notebooks
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 -q
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(VENV)/numba-boundscheck $(BIN)/python -m pytest -n 2 -q
	$(MAKE) test-lowest test-newest wheel

test-lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py test > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lowest/constraints.txt --editable '.[test]'
	NUMBA_CACHE_DIR=.venv-lowest/numba .venv-lowest/bin/python -m pytest -n 2 -q -m "not slow"

test-newest:
	test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[test]'
	NUMBA_CACHE_DIR=.venv-newest/numba .venv-newest/bin/python -m pytest -n 2 -q -m "not slow"

wheel:
	PYTHON=$(PYTHON) .ci/wheel

clean:
	rm -rf .venv* report build dist .pytest_cache .ruff_cache .hypothesis
