# Everything runs in .venv; `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Large wheels (torch for CUDA) on a slow line need longer than uv's 30 s.
UV := UV_HTTP_TIMEOUT=600 $(BIN)/uv pip

# No address of a package registry gets into the files.
PIN := $(UV) compile pyproject.toml --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make requirements"

# A stamp stands for an installation; it is older than the files it was made from when they change.
RUNTIME := $(VENV)/.runtime-installed
TESTING := $(VENV)/.tests-installed

# What only tests need from the system: a database server, a cluster's network and shell, a data set, a browser.
SYSTEM_PACKAGES := postgresql openssh-server iproute2 rsync dataset-fashion-mnist chromium

.DELETE_ON_ERROR:
.PHONY: help setup setup-cluster demo test check test-system requirements results networks clusters bench clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*##/make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(RUNTIME)  ## make .venv with the tombola command in it

setup-cluster: $(RUNTIME)  ## what `ray up` needs here: boto3, Ray's dashboard, and a token that keeps others out
	$(UV) install --python $(BIN)/python --requirements requirements-cluster.txt
	@test -e ~/.ray/auth_token || RAY_AUTH_MODE=token $(BIN)/ray get-auth-token --generate > /dev/null

demo: $(RUNTIME)  ## the main job: a twentieth of a ResNet on handwritten digits, into runs/digits
	$(BIN)/tombola run sweeps/configs/digits.yaml --out runs/digits

test: check  ## all checks, then all tests
	@$(BIN)/python -m compileall -q pruners sweeps trainables tests
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder

check: $(TESTING)  ## lint, format, types and the three floors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test-system:  ## the system packages that only tests need (Debian; root or sudo)
	@.ci/test-system $(SYSTEM_PACKAGES)

# uv keeps the versions already written; remove the files first to move everything to the newest.
requirements: $(BIN)/uv  ## pin the versions of everything again
	$(PIN) --output-file requirements.txt
	$(PIN) --constraints requirements.txt --extra cluster --extra s3 --extra postgresql --output-file requirements-cluster.txt
	$(PIN) --constraints requirements-cluster.txt --extra cluster --group test --group check --output-file requirements-test.txt

# Studies that are to be on the page are run first: make demo, and `tombola run` for the sweeps of the other names.
RESULTS := runs/digits $(wildcard runs/allocation_fashion_*) runs/allocation_masks \
	runs/lottery_fashion runs/pruning_at_init_fashion $(wildcard runs/operating_points runs/table_one_fashion)

results: $(TESTING)  ## write docs/results.md and its pictures from the studies in runs/
	$(BIN)/python -m docs.results $(RESULTS)

clusters: $(TESTING)  ## write cluster.yaml and clusters/*.yaml from clusters/source/
	$(BIN)/python clusters/write.py

networks: $(TESTING)  ## take torchvision's networks through every step and write docs/networks.md
	$(BIN)/python -m docs.networks

# Without the ten minutes of killing at random: python -m bench.chaos.
bench: $(TESTING)  ## the measurements in bench/, but bench/chaos.py
	for name in $(filter-out chaos,$(basename $(notdir $(wildcard bench/*.py)))); do $(BIN)/python -m "bench.$$name" || exit 1; done

clean:  ## remove .venv and what tools left behind; studies in runs/ stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tombola needs Python 3.11 or newer and $(PYTHON) is not: run make again with PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments with pip: install them (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9

# Compiled once: a study starts a driver and workers, the tests some hundred processes, and some machines let none of
# them keep what it compiled; torch, Ray and Optuna then take 11 s to import in place of 5.
$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/uv
	$(UV) install --python $(BIN)/python --compile-bytecode --requirements requirements.txt
	$(UV) install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(TESTING): requirements-test.txt $(RUNTIME)
	$(UV) install --python $(BIN)/python --compile-bytecode --requirements requirements-test.txt
	@touch $@
