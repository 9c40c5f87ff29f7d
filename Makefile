# Everything here sets up what it needs: a virtual environment in .venv, from requirements.lock.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := sidecar/plugwarden collector/plugwarden_collector dashboards/plugwarden_dashboards examples/plugwarden_demo
PACKAGES := sidecar collector dashboards examples
NATIVE := collector/hatch_build.py $(wildcard collector/plugwarden_collector/receive/*.[ch])

.DEFAULT_GOAL := help
.PHONY: help setup browser node demo up test check format lint types imports bench bench-scale fuzz test-compose screenshots lock clean

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.ready  ## make .venv

$(VENV)/.ready: requirements.lock $(PACKAGES:%=%/pyproject.toml) $(NATIVE)
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	@touch $@

demo: setup  ## the whole loop on real plugins; ARGS="--for 90s --json" ends by itself
	@$(BIN)/plugwarden demo $(ARGS)

up: setup  ## collector and dashboards, until Ctrl-C
	@$(BIN)/plugwarden up $(ARGS)

test: setup browser node  ## all tests
	$(BIN)/python -m pytest $(ARGS)

check: setup lint types imports test  ## format, ruff, mypy, import contracts and tests

format: setup  ## put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

SCALE := benchmarks/scale_queries.py

bench: setup  ## every claim in the README, measured, but for bench-scale
	@for file in $(sort $(filter-out $(SCALE),$(wildcard benchmarks/*.py))); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-scale: setup  ## pages at 50 million spans: builds the store once (15 min, 5 GB); ARGS="--spans 1000000"
	@$(BIN)/python $(SCALE) $(ARGS)

browser:  # Chromium for the tests that look at pages
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	  else echo "chromium is missing: tests of the pages are skipped (Debian: apt install chromium)"; fi; }

node:  # Node.js for the tests with its OpenTelemetry SDK, which they install from their lock
	@command -v npm >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null; \
	  else echo "npm is missing: tests with the SDK of Node.js are skipped (Debian: apt install nodejs npm)"; fi; }

fuzz: setup  ## a million hostile inputs at the receiver; ARGS="--inputs 10000 --json"
	@nice -n 19 $(BIN)/python benchmarks/fuzz.py $(or $(ARGS),--inputs 1000000)

screenshots: setup browser  ## docs/images, from a running demo
	$(BIN)/python docs/screenshots.py

test-compose:  ## compose.yaml on a real engine: up, the loop, down
	@tests/compose.sh

LOCK := $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --no-emit-package plugwarden --no-emit-package plugwarden-collector \
  --no-emit-package plugwarden-dashboards --no-emit-package plugwarden-demo
LOCK_FOR = $(LOCK) --no-annotate --constraints requirements.lock

lock:  ## requirements.lock anew: versions and hashes, no index address
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv
	$(LOCK) --group dev pyproject.toml -o requirements.lock
	printf 'hatchling\n' | $(LOCK_FOR) - -o docker/build.lock
	for part in collector dashboards examples; do $(LOCK_FOR) $$part/pyproject.toml sidecar/pyproject.toml \
	  $$([ $$part = dashboards ] && echo collector/pyproject.toml) -o docker/$$part.lock; done
	rm -rf $(VENV)-lock

clean:  ## what was made here
	rm -rf $(VENV) data build tests/clients/node/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
