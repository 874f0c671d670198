# Two commands on a fresh machine with Python and make: `make quickstart` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TEXT   ?= Jordan will book a table in May because the chef from Lisbon loves her book.
STAMP  := $(VENV)/.installed

# torch comes first and pinned: left to the resolver it may bring several GB of CUDA libraries along.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[quickstart,dev]'
	touch $@

.PHONY: install quickstart test lint bench wheel-test clean
install: $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP)
	$(BIN)/python -m pytest
