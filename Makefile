# Two commands on a fresh machine with Python and make: `make quickstart` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUN    := runs/quickstart-pos
# Said to accelerate, which else warns that it had to choose; a configuration file has no key for it.
THREADS := $${OMP_NUM_THREADS:-$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}
export TEXT ?= Jordan will book a table in May because the chef from Lisbon loves her book.

.PHONY: install quickstart test test-latest fuzz lint bench bench-peers browser docs wheel-test clean

install: $(STAMP)

# torch comes first and pinned: left to the resolver it may bring several GB of CUDA libraries along.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[quickstart,dev]'
	touch $@

# Trains once (about a minute on two cores); repeated, it only tags: make quickstart TEXT="..."
quickstart: $(RUN)/results.json
	@echo; echo "$(RUN), loaded by the Transformers pipeline in a fresh process:"; echo
	@$(BIN)/python recipes/tag_with_pipeline.py --model $(RUN) --text "$$TEXT"
	@echo; echo "Again: make quickstart TEXT=\"...\"   From the start: make clean quickstart"

$(RUN)/results.json: | $(STAMP)
	$(BIN)/accelerate launch --config_file accelerate_configs/cpu.yaml --num_cpu_threads_per_process $(THREADS) \
	  recipes/pos_bert.py --config recipes/configs/pos/quickstart.yaml --resume

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# Random files and settings, damaged checkpoints, killed runs: minutes, and not part of `make test`, which has a share.
# Another seed, other input: make fuzz FUZZ="--seed 1"
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz all $(FUZZ)

# Chromium for the tests of pages, from the system's packages; where it is missing those tests are skipped.
browser:
	@command -v chromium chromium-browser google-chrome || \
	  (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(STAMP)
	$(BIN)/python docs/arguments.py
	$(BIN)/mkdocs build --strict

# With a trained tagger and an export of it: make bench TAGGING="--model runs/NAME --exported runs/NAME-int8"
bench: $(STAMP)
	for name in training compact levers alignment loading memory packing scaling streaming; do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/tagging.py $(TAGGING)
	$(BIN)/python benchmarks/render.py

# spaCy, Flair and SpanMarker on the same data, each in an environment of its own (4 GB): minutes. Trained to the end as
# well, which takes hours: make bench-peers PEERS="--whole spacy flair spanmarker"
bench-peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py $(PEERS)
	$(BIN)/python benchmarks/render.py

# The wheel in an environment of its own, with no source tree in sight.
wheel-test: $(STAMP)
	rm -rf build dist .venv-wheel
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet -c constraints.txt torch
	.venv-wheel/bin/python -m pip install --quiet -c constraints.txt dist/*.whl
	.venv-wheel/bin/python -I tests/wheel_check.py

# All tests with the newest release of every dependency, whatever pyproject.toml and constraints.txt allow: what breaks
# here breaks next. It may fail, and make goes on; CONTRIBUTING.md has the last result. One file: LATEST=tests/test_x.py
test-latest:
	rm -rf .venv-latest
	$(PYTHON) -m venv .venv-latest
	.venv-latest/bin/python -m pip install --quiet $$($(PYTHON) tests/newest.py)
	.venv-latest/bin/python -m pip install --quiet --no-deps -e .
	.venv-latest/bin/python -m pip freeze | grep -iE '^(accelerate|datasets|evaluate|peft|tokenizers|torch|transformers)=='
	-.venv-latest/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(LATEST)

clean:
	rm -rf $(RUN) build dist .venv-wheel .venv-latest .venv-peer-* site
