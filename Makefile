# Everything here sets up what it needs: a virtual environment in .venv, from requirements.lock.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := sidecar/plugwarden collector/plugwarden_collector dashboards/plugwarden_dashboards examples/plugwarden_demo
PACKAGES := sidecar collector dashboards examples
NATIVE := collector/hatch_build.py $(wildcard collector/plugwarden_collector/receive/decode/c/*.[ch]) \
	sidecar/hatch_build.py $(wildcard sidecar/plugwarden/shim/c/*.[ch])

.DEFAULT_GOAL := help
.PHONY: help setup browser node prometheus alertmanager demo up test repeated no-harm check format lint types imports sbom advisories bench bench-scale bench-start chaos fuzz hosts otel-matrix otel-instrument test-compose screenshots lock clean

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

# A fifth of the million calls of test_no_harm and a fourth of other long repetitions (tests/share.py): the whole suite has to
# end within 15 minutes. `make repeated` makes all.
test: export PLUGWARDEN_NO_HARM_CALLS ?= 100000
test: export PLUGWARDEN_TEST_SHARE ?= 0.25
# Two processes, on two cores: half of the time of a test is waiting. The tests of a file stay together and share what it starts.
PROCESSES ?= 2
test: setup browser node prometheus alertmanager otel-instrument  ## all tests, in two processes; PROCESSES=0 for one, ARGS="tests/sidecar -x"
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

repeated: setup  ## all tests with all of their repetitions
	@$(MAKE) test PLUGWARDEN_NO_HARM_CALLS=1000000 PLUGWARDEN_TEST_SHARE=1

no-harm: setup  ## a million calls that are as they would be without us
	$(BIN)/python -m pytest tests/sidecar/test_no_harm.py

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

sbom: setup  ## build/sbom.json: every locked package with hashes and licence (CycloneDX)
	@$(BIN)/python -m supply.bill_of_materials build/sbom.json

advisories: setup  ## known faults of the locked packages, where a source can be asked
	@$(BIN)/python -m supply.advisories

SCALE := benchmarks/scale_queries.py
START := benchmarks/start.py
DECISIONS := benchmarks/decisions.py
CHAOS := benchmarks/delivery_chaos.py

bench: setup  ## every claim in the README, measured, but for bench-scale, bench-start, bench-decisions and chaos
	@for file in $(sort $(filter-out $(SCALE) $(START) $(DECISIONS) $(CHAOS),$(wildcard benchmarks/*.py))); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-scale: setup  ## pages at 50 million spans: builds the store once (15 min, 5 GB); ARGS="--spans 1000000"
	@$(BIN)/python $(SCALE) $(ARGS)

bench-start: setup  ## a start after kill -9 at 10 million spans: builds the store once (3 min, 2 GB); ARGS="--spans 1000000"
	@$(BIN)/python $(START) $(ARGS)

bench-decisions: setup  ## isolation, right and in time: all worlds and 1,000 fleets by chance (20 min); ARGS="--false-alarms", "--fleets 100"
	@$(BIN)/python $(DECISIONS) $(ARGS)

chaos: setup  ## failing receivers and 50 kills of a collector: is everybody told of everything? (4 min); ARGS="--kills 10 --seed 2"
	@$(BIN)/python $(CHAOS) $(or $(ARGS),--kills 50)

browser:  # Chromium for the tests that look at pages
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	  else echo "chromium is missing: tests of the pages are skipped (Debian: apt install chromium)"; fi; }

alertmanager:  # Alertmanager for the test that tells one
	@command -v prometheus-alertmanager >/dev/null || command -v alertmanager >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq prometheus-alertmanager >/dev/null; \
	  else echo "alertmanager is missing: its test is skipped (Debian: apt install prometheus-alertmanager)"; fi; }

node:  # Node.js for the tests with its OpenTelemetry SDK, which they install from their lock
	@command -v npm >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null; \
	  else echo "npm is missing: tests with the SDK of Node.js are skipped (Debian: apt install nodejs npm)"; fi; }

prometheus:  # promtool, which checks the rules that are exported, and a Prometheus that scrapes
	@command -v promtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; \
	  else echo "promtool is missing: exported rules are not checked by it (Debian: apt install prometheus)"; fi; }

fuzz: setup  ## a million hostile inputs at the receiver, and at what runs in a host; ARGS="--inputs 10000 --json"
	@nice -n 19 $(BIN)/python benchmarks/fuzz.py $(or $(ARGS),--inputs 1000000)

hosts: setup  ## hosts of others without us and with us, each in its own environment; goes on where it was stopped; ARGS="--only flask,celery --again"
	@$(BIN)/python -m tests.hosts $(ARGS)

otel-matrix:  ## the sidecar against OpenTelemetry's releases of the last 18 months; VERSIONS="1.33.1 1.45.2"
	@PYTHON=$(PYTHON) tests/otel_matrix.sh $(VERSIONS)

OTEL_ENV := $(VENV)-otel
otel-instrument: $(OTEL_ENV)/.ready  # a host's environment with `opentelemetry-instrument`, for its tests in tests/sidecar

$(OTEL_ENV)/.ready: sidecar/pyproject.toml
	$(PYTHON) -m venv $(OTEL_ENV)
	$(OTEL_ENV)/bin/pip install --quiet --disable-pip-version-check -e ./sidecar "opentelemetry-distro[otlp]==0.66b2" && touch $@ || \
	  echo "opentelemetry-distro was not installed: tests with opentelemetry-instrument are skipped"

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
	rm -rf $(VENV) $(OTEL_ENV) data build tests/clients/node/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
