# The commands of this project. Needs Python 3.11 or newer, make, and the package registries; nothing else by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TEST_PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) * 2)))

.PHONY: help demo test fuzz fuzz-guided conformance check bench bench-quick lock format clean coverage
help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "backstream needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

demo: $(STAMP)  ## watch a conversation about a picture stream out of the embedded backend
	@env -u BACKSTREAM_URL $(BIN)/backstream chat -m echo "What is in this picture?" --media examples/lighthouse.png --param pace_seconds=0.02

test: $(STAMP)  ## run every test, in more processes than cores, since many tests wait
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -o faulthandler_exit_on_timeout=true

fuzz: $(STAMP)  ## look for input that is handled badly: FUZZ_SECONDS (default 2) for each decoder and parser
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ)

.venv-fuzz/.ready: tests/fuzz/requirements/guided.txt
	@$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

fuzz-guided: .venv-fuzz/.ready  ## the same led by coverage, with atheris: FUZZ_SECONDS (default 10) for each
	@PYTHONPATH=tests:src .venv-fuzz/bin/python -m fuzz.coverage_guided $(FUZZ)

conformance: $(STAMP)  ## run against foreign programs, each in an environment of its own
	$(BIN)/python -m pytest tests/conformance -o norecursedirs=".* data"

coverage: $(STAMP)  ## run every test and hold the coverage gates
	$(BIN)/python -m coverage run -m pytest -q
	$(BIN)/python tests/coverage_gates.py

check: $(STAMP)  ## lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(STAMP)  ## measure everything beside its peers, and write docs/performance.md: BENCH="--soak 10" for a long soak
	$(BIN)/python -m benchmarks $(BENCH)
	$(BIN)/python docs/generate_performance.py

bench-quick: $(STAMP)  ## a minute of it: ours beside the raw floor and nginx
	$(BIN)/python -m benchmarks --quick

format: $(STAMP)  ## put the code into its house form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP)  ## write the pinned, hash-locked requirements anew
	cd requirements && for name in base dev ../tests/fuzz/requirements/guided; do \
		../$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --no-header --output-file $$name.txt $$name.in; done

clean:  ## remove what the commands made
	rm -rf $(VENV) .venv-conformance .venv-bench .venv-fuzz build dist .hypothesis .mypy_cache .ruff_cache .coverage
	git clean -fdXq benchmarks/results
