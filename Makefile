# Needs make, git and Python 3.11 or later. Everything else goes into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
FLOOR := $(shell sed -n 's/^dask = \["dask>=\([0-9.]*\).*/\1/p' pyproject.toml)

# A pip.conf or an environment made for other things must not send packages elsewhere; where they come from stays as
# it is configured.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT PIP_NO_BINARY PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test test-servers test-floor extras docs screenshots benchmark crowd chaos lint ruff types migrations deployment imports constraints clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/demo.stamp ## The whole portal on this machine, until Ctrl-C; ARGS=--once runs three jobs and ends, ARGS=--condor brings HTCondor
	@$(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/dev.stamp ## The tests; ARGS='-k dask -x' goes to pytest
	@$(BIN)/python -m tests.rig.side_by_side $(ARGS)

test-servers: $(VENV)/dev.stamp ## The same tests on PostgreSQL and Redis (or Valkey) over TCP, with passwords
	@$(BIN)/python -m tests.rig.with_servers $(ARGS)

docs: $(VENV)/dev.stamp ## The documentation, as a site in build/docs
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

screenshots: $(VENV)/dev.stamp ## The pictures of pages in the README and the documentation, taken anew in Chromium
	@$(BIN)/python docs/make_screenshots.py $(ARGS)

benchmark: $(VENV)/dev.stamp ## What docs/measurements.md reports, measured on this machine
	@$(BIN)/python -m benchmarks.execute
	@$(BIN)/python -m benchmarks.refresh
	@$(BIN)/python -m benchmarks.htcondor
	@$(BIN)/python -m benchmarks.large_result
	@$(BIN)/python -m benchmarks.table
	@$(BIN)/python -m benchmarks.open_tables
	@$(BIN)/python -m benchmarks.overload

crowd: $(VENV)/dev.stamp ## 2,000 jobs through what comes with pip, from many sides at once; ARGS='--jobs 200'
	@$(BIN)/python -m benchmarks.crowd $(ARGS)

chaos: $(VENV)/dev.stamp ## 300 jobs while everything that can break is broken, see docs/reliability.md; ARGS='--jobs 10000 --seed 7'
	@$(BIN)/python -m tests.chaos $(ARGS)

test-floor: .venv-floor/dev.stamp ## The Dask tests on the oldest Dask that pyproject.toml allows
	@.venv-floor/bin/python -m pytest tests/backends/test_dask_*.py tests/stack/test_main_path.py -k 'not twenty_thousand and not ten_seconds' $(ARGS)

extras: $(VENV)/dev.stamp ## Whether each extra brings what its name says, in empty venvs; ARGS='dask condor'
	@$(BIN)/python scripts/check-extras $(ARGS)

lint: ruff types migrations deployment imports ## All of the checks below

ruff: $(VENV)/dev.stamp ## Style, likely bugs and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## mypy, strict
	@$(BIN)/mypy

migrations: $(VENV)/dev.stamp ## Says whether a migration is missing
	@SECRET_KEY=check DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

deployment: $(VENV)/dev.stamp ## Django's deployment checks, with the settings that docs/settings.md asks for
	@SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" ALLOWED_HOSTS=jobs.example.org \
	    $(BIN)/python manage.py check --deploy --fail-level WARNING

imports: $(VENV)/dev.stamp ## The import contract of pyproject.toml
	@$(BIN)/lint-imports

constraints: ## Writes constraints.txt anew, with the newest versions that pyproject.toml allows
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(PYTHON) -m venv "$$work"; "$$work/bin/pip" install -qq '.[dev]'; \
	head -n 1 constraints.txt > "$$work/constraints"; \
	"$$work/bin/pip" freeze -qq --exclude jobsapi >> "$$work/constraints"; \
	cp "$$work/constraints" constraints.txt

clean: ## Removes the venvs, caches and everything that was made
	rm -rf $(VENV) .venv-floor build dist var *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call venv,FOLDER): a venv in FOLDER, made anew when it is not there or was left half made.
define venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(1)/bin/pip || { echo "Making $(1) ..."; $(PYTHON) -m venv --clear $(1); } \
	    || { echo "Python's venv module is missing or broken; on Debian: apt install python3-venv" >&2; rm -rf $(1); exit 1; }
endef

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(call venv,$(VENV))
	@echo "Installing jobsapi[dev] into $(VENV) (about a minute) ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $(VENV)/demo.stamp $@

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(call venv,$(VENV))
	@echo "Installing jobsapi[demo] into $(VENV) (half a minute) ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[demo]'
	@touch $@

# The oldest Dask does not know the newest pandas.
.venv-floor/dev.stamp: pyproject.toml constraints.txt
	$(call venv,.venv-floor)
	@echo "Installing jobsapi[demo] with Dask $(FLOOR) into .venv-floor (half a minute) ..."
	@grep -viE '^(dask|distributed|pandas)==' constraints.txt > .venv-floor/constraints.txt
	@printf '%s\n' 'dask==$(FLOOR)' 'distributed==$(FLOOR)' 'pandas==2.3.3' >> .venv-floor/constraints.txt
	@.venv-floor/bin/python -m pip install -qq -c .venv-floor/constraints.txt -e '.[demo]' \
	    hypothesis pandas pyarrow pytest pytest-django pytest-timeout
	@touch $@
