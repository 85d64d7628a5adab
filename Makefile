# Everything one does with this project. `make help` lists it. Needs Python 3.10 or later and a C compiler;
# all else is put into $(VENV) and $(BUILD). Targets only do what their sources ask for.
PYTHON ?= python3
VENV ?= .venv
BUILD ?= build
FUZZ_SECONDS ?= 60

SHELL := /bin/bash
BIN := $(VENV)/bin
# Not rebuilt on import: the targets build first.
RUN := BYTEWAX_NO_REBUILD=1 $(BIN)/python
MESON := PATH="$(CURDIR)/$(BIN):$$PATH" meson
NINJA := PATH="$(CURDIR)/$(BIN):$$PATH" ninja
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
STAMPS := $(VENV)/.stamps
RELEASE := -Dpython=enabled -Db_lto=true
LAYERS := floors lint types test-c test-sim test-python test-property test-docs test-cluster test-compat test-sanitize bench-quick

.DEFAULT_GOAL := help
.PHONY: help run setup build system test test-c test-sanitize test-sim test-python test-property test-compat \
	test-docs test-cluster fuzz lint format types floors tidy coverage bench bench-quick wheels clean asan tsan

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "%-15s %s\n", $$1, $$2}'

run: build  ## Count the words of a text of the standard library; prints the top words and lines/s
	@$(RUN) examples/wordcount.py

# --- set-up -------------------------------------------------------------------------------------------

system:  ## Install the system packages (as root on Debian or Ubuntu), or name the command
	@tools/system.sh $(PYTHON)

$(STAMPS)/system: tools/system.sh
	@tools/system.sh $(PYTHON)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/venv: | $(STAMPS)/system
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed: make PYTHON=...") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# One file for each extra of pyproject.toml; the pinned versions stand there.
$(STAMPS)/%-tools: pyproject.toml tools/extras.py $(STAMPS)/venv
	$(PIP) install $$($(BIN)/python tools/extras.py $*)
	@touch $@

setup: $(STAMPS)/test-tools $(STAMPS)/lint-tools build  ## Make the development environment: .venv, tools, editable install

# pip installs once; from then on a build is enough.
build: $(STAMPS)/build-tools  ## Build what has changed, in release mode, and see that it is installed
	@tools/build.sh $(BIN) $(BUILD) $(RELEASE)
	@$(MAKE) -s --no-print-directory $(STAMPS)/editable

$(STAMPS)/editable: pyproject.toml tools/build_backend.py tools/editable_loader.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --no-build-isolation --no-deps --config-settings=build-dir=$(BUILD) -e .
	@touch $@

asan: $(STAMPS)/build-tools
	@tools/build.sh $(BIN) $(BUILD)-asan -Dpython=enabled -Dbuildtype=debugoptimized \
		-Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fno-sanitize=object-size

tsan: $(STAMPS)/build-tools
	@tools/build.sh $(BIN) $(BUILD)-tsan -Dpython=disabled -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false

# --- tests --------------------------------------------------------------------------------------------

test: setup  ## Run all layers of tests and checks; ends with a summary
	@$(RUN) tools/test_layers.py $(LAYERS)

test-c: build  ## C unit tests, and the fuzzers' corpora replayed
	@$(RUN) tools/c_tests.py $(BUILD) c fuzz

test-sim: build  ## The simulator over its seeds
	@$(RUN) tools/c_tests.py $(BUILD) sim
	@if ls tests/sim/test_*.py >/dev/null 2>&1; then $(RUN) -m pytest -q tests/sim; fi

test-python: setup  ## Python tests: unit and behaviour
	@$(RUN) -m pytest -q tests/unit tests/behaviour

test-property: setup  ## Random flows against a reference in Python
	@$(RUN) -m pytest -q tests/property

test-cluster: setup  ## Clusters of real processes and what can happen to them: killed, cut off, attacked
	@$(RUN) tools/parallel_tests.py 4 tests/cluster

test-compat: setup  ## The same programs under upstream and here
	@$(RUN) -m pytest -q tests/compat

test-docs: setup  ## Every code block of the README and the guide
	@$(RUN) -m pytest -q tests/docs

test-sanitize: setup asan tsan  ## C tests under ASan, UBSan and TSan; Python tests of the binding under ASan
	@BYTEWAX_NO_REBUILD=1 tools/sanitize.sh $(BIN)/python $(BUILD)

fuzz: $(STAMPS)/build-tools  ## What parses bytes from outside under libFuzzer, FUZZ_SECONDS=60 each; installs clang
	@tools/fuzz.sh $(BIN) $(BUILD)-fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

coverage: setup  ## Coverage reports: gcovr for C, coverage for Python
	@tools/coverage.sh $(BIN) $(BUILD)-coverage

# --- checks -------------------------------------------------------------------------------------------

C_FILES = $(wildcard engine/*.[ch] engine/*/*.[ch] binding/*.[ch] examples/c/*.c tests/sim/*.[ch] tests/fuzz/*.[ch])

lint: $(STAMPS)/lint-tools  ## Format and lint, C and Python
	@$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .

format: $(STAMPS)/lint-tools  ## Format all sources
	@$(BIN)/clang-format -i $(C_FILES)
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

types: $(STAMPS)/lint-tools build  ## mypy --strict on the package, stubtest on the extension
	@cd python && ../$(BIN)/mypy -p bytewax
	@BYTEWAX_NO_REBUILD=1 MYPYPATH=python $(BIN)/stubtest bytewax._engine

floors: $(STAMPS)/venv  ## Which file may include or import which
	@$(BIN)/python tools/check_floors.py

tidy: $(STAMPS)/tidy-tools build  ## clang-tidy on the engine and the binding (minutes)
	@tools/tidy.sh $(BIN) $(BUILD)

# --- benchmarks and wheels ----------------------------------------------------------------------------

bench: setup  ## All benchmarks against upstream, the plain loop and ideal (up to 20 minutes)
	@$(RUN) bench/run.py

bench-quick: setup  ## The benchmarks in small, under a minute
	@$(RUN) bench/run.py --quick

wheels:  ## A wheel in dist/ for each CPython 3.10 to 3.13 found
	@tools/wheels.sh $(PYTHON)

clean:  ## Remove what was built, the environment included
	rm -rf $(BUILD) $(BUILD)-* $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* htmlcov
