# netspectra: `make demo` and `make test` need a Python >= 3.11 and nothing else. GNU make 3.81 (macOS) is enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE := --no-build-isolation --config-settings editable_mode=strict --editable
PYTEST_ARGS ?=
BENCH_ARGS ?=
GPU_ARGS ?=
WHEELS ?=

# The data that a few tests and benchmarks use lies outside the checkout; setting NETSPECTRA_DATA, even to nothing, wins.
ifeq ($(origin NETSPECTRA_DATA),undefined)
ifneq ($(wildcard ../shared/data/.),)
export NETSPECTRA_DATA := $(CURDIR)/../shared/data
endif
endif

# An environment whose interpreter is gone, or was made by another PYTHON than the one now asked for, is made anew.
ifneq ($(shell $(BIN)/python -c 'print("alive")' 2>/dev/null),alive)
$(shell rm -f $(VENV)/.made)
else ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
ifneq ($(shell cat $(VENV)/.made 2>/dev/null),$(PYTHON))
$(shell rm -f $(VENV)/.made)
endif
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-oldest lint typecheck bench gpu-check refresh clean distclean

help:
	@echo "make demo         install, then test both shipped networks against 200 null networks each"
	@echo "make test         the tests; the last line says what was skipped and why (PYTEST_ARGS=... is passed on)"
	@echo "make lint         ruff and import-linter"
	@echo "make typecheck    mypy --strict"
	@echo "make bench        the benchmarks, with their peers in the same run (BENCH_ARGS=... is passed on)"
	@echo "make gpu-check    tests and benchmarks on a CUDA GPU, by $(PYTHON) itself and without a network, 8 minutes at most"
	@echo "                  (WHEELS=folder: of what it lacks; GPU_ARGS=... is passed on, e.g. --quick or --output folder)"
	@echo "make test-oldest  the tests with the oldest core dependencies that pyproject.toml allows"
	@echo "make clean        remove what was built; make distclean also removes the environment, $(VENV)"
	@echo "                  PYTHON=python3.12 chooses the interpreter (now: $(PYTHON))"

demo: $(VENV)/.has-core refresh
	@$(BIN)/netspectra demo

test: $(VENV)/.has-test refresh
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.has-dev refresh
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/lint-imports --no-cache

typecheck: $(VENV)/.has-dev refresh
	$(BIN)/python -m mypy --strict

bench: $(VENV)/.has-bench $(VENV)/.has-test refresh
	$(BIN)/python -m pytest benchmarks $(BENCH_ARGS)

# Needs no environment: whoever has a GPU has an interpreter with CuPy in it. The package goes to build/gpu.
gpu-check:
	@$(PYTHON) -m benchmarks.gpu.prepare --into build/gpu $(if $(WHEELS),--wheels "$(WHEELS)")
	@PYTHONPATH="$(CURDIR)/build/gpu$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) -m benchmarks.gpu $(GPU_ARGS)

# -- the environment

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "netspectra: there is no '$(PYTHON)' here. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "netspectra: Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "netspectra: '$(PYTHON)' has no venv or no ensurepip. On Debian and Ubuntu: apt install python3-venv; or name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "netspectra: making the environment $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install "setuptools>=77"
	@echo "$(PYTHON)" > $@

# One stamp per set of dependencies: `.has-core` is none, `.has-test` is the extra `test`.
$(VENV)/.has-%: pyproject.toml $(VENV)/.made
	@echo "netspectra: installing dependencies ($*)"
	@$(PIP) install $(EDITABLE) "$(if $(filter core,$*),.,.[$*])"
	@touch $@

# A strict editable install shows the package to mypy and import-linter, but not files added since: renewed each time.
refresh: $(VENV)/.made
	@$(PIP) install --no-deps $(EDITABLE) .

OLDEST_VENV := $(VENV)-oldest
test-oldest: $(VENV)/.made
	@rm -rf $(OLDEST_VENV) build/lib
	@$(BIN)/python -m venv $(OLDEST_VENV)
	@$(BIN)/python -c 'import tomllib; print(*(d.replace(">=", "==") for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]))' \
	  > $(OLDEST_VENV)/pins
	@echo "netspectra: installing $$(cat $(OLDEST_VENV)/pins)"
	@$(OLDEST_VENV)/bin/python -m pip --disable-pip-version-check --quiet install ".[test]" $$(cat $(OLDEST_VENV)/pins)
	@$(OLDEST_VENV)/bin/python -m pytest $(PYTEST_ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find engine kernels bindings tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-extras
