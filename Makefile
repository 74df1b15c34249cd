# Needs python3 >= 3.11, make and the package registries; no root, no Docker, no Azure account.
# Every target first makes the environment it needs (.venv, node_modules, .venv-az, .venv-checkov) from the lock files.

SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
PIP := .venv/bin/python -m pip --disable-pip-version-check --no-input
# Bytecode is what keeps starts short (three to seven times shorter), so an environment that forbids it is overruled.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv/.installed
NODE := node_modules/.installed
AZ := .venv-az/.installed
CHECKOV := .venv-checkov/.installed
# What mypy and ruff look at; a part that does not exist (yet) is left out. The agent has its own floor and its own check.
TYPED := $(wildcard vipcore function_app.py simulator serve demo bench infra trail tests)

.DEFAULT_GOAL := help
.PHONY: help setup demo play serve simulator test test-agent test-served test-vipcore test-others test-fast fast-swap fast-others interop soak bench packages package smoke check format lock clean

help:
	@echo 'make demo       one failover, start to end, on this machine: simulated Azure, real Table service, real agent'
	@echo 'make play       the same world to play with: a menu of commands to paste, from a move to a broken right'
	@echo 'make test       every test but interop and soak;  make test ROOM=swap  one folder: swap, ledger, simulator, promises, agent, ...'
	@echo 'make test-fast  the tests that need no server, on two cores'
	@echo 'make interop    the real az and the published SDK against the simulated Azure, Checkov on infra/'
	@echo 'make soak       the long runs'
	@echo 'make check      format, lint, types, imports, the floor of the agent; what infra/*.bicep would deploy; the pages'
	@echo 'make serve      the Function app on http://127.0.0.1:$${PORT:-7071}/api, settings from the environment'
	@echo 'make simulator  the simulated Azure alone'
	@echo 'make package    the zip that Azure runs, in build/;  make smoke  what only a deployed app can answer (infra/README.md)'
	@echo 'make bench      the measurements, written to bench/results/'
	@echo 'make packages   the agent as .deb and .rpm, in build/'
	@echo 'make setup      the environment alone, which every other target makes as well'
	@echo 'make format     write the formatting that check demands;  make lock  renew the lock files;  make clean'

setup: $(VENV) $(NODE)

demo: $(VENV) $(NODE)
	@exec $(PY) -m demo

play: $(VENV) $(NODE)
	@exec $(PY) -m demo.play

serve: $(VENV)
	@exec $(PY) -m serve

simulator: $(VENV)
	@exec $(PY) -m simulator

# ROOM is a folder of tests/vipcore, tests or tests/served.
ROOMS = $(patsubst %/,%,$(foreach folder,tests/vipcore tests tests/served,$(wildcard $(folder)/$(ROOM)/)))

test: $(VENV) $(NODE)
	$(if $(ROOM),$(if $(ROOMS),,$(error No tests for ROOM=$(ROOM). Name a folder of tests/vipcore, tests or tests/served)))
	$(if $(ROOM)$(ARGS),$(SUITE) $(if $(ROOM),$(firstword $(ROOMS))) $(ARGS),@$(SIDE_BY_SIDE) test-served test-others test-vipcore test-agent)

SUITE := $(PY) -m pytest -m 'not interop and not soak'
# A make before 4.0 cannot keep the outputs apart.
SIDE_BY_SIDE = $(MAKE) -j4 --no-print-directory $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

# The tests of agents and of served apps mostly wait; the others compute. Four lanes keep two cores busy.
APART := tests/agent/ tests/demo/ tests/nodes/ tests/served/ tests/vipcore/

test-agent:
	@$(SUITE) tests/agent tests/nodes tests/demo

test-served test-vipcore: test-%:
	@$(SUITE) tests/$*

test-others:
	@$(SUITE) $(filter-out $(APART) tests/interop/ tests/__pycache__/,$(wildcard tests/*/))

test-fast: $(VENV) $(NODE)
	@$(SIDE_BY_SIDE) fast-swap fast-others

FAST := $(PY) -m pytest -q -m 'not interop and not soak and not slow'

fast-swap:
	@$(FAST) tests/vipcore/swap $(ARGS)

fast-others:
	@$(FAST) $(filter-out tests/vipcore/adapters/ tests/vipcore/swap/,$(wildcard tests/vipcore/*/)) tests/repository \
		tests/promises/test_unseen.py $(ARGS)

interop: $(VENV) $(NODE) $(AZ) $(CHECKOV)
	$(PY) -m pytest -m interop tests/interop $(ARGS)

soak: $(VENV) $(NODE)
	$(PY) -m pytest -m soak $(ARGS)

bench: $(VENV) $(NODE) $(AZ)
	@$(PY) -m bench

# The same files make the same packages, to the byte: their time is the last commit's.
BUILD ?= build
AGENT_VERSION ?= $(shell $(PYTHON) agent/vip_agent.py --version | cut -d' ' -f2)
BUILT_AT = $(shell git log -1 --format=%ct 2>/dev/null || echo 1700000000)

packages: $(VENV)
	@mkdir -p $(BUILD)
	@for kind in deb rpm; do VERSION=$(AGENT_VERSION) SOURCE_DATE_EPOCH=$(BUILT_AT) \
		.venv/bin/nfpm package -f agent/package/nfpm.yaml -p $$kind -t $(BUILD)/ || exit 1; done

package: $(VENV)
	@$(PY) -m infra.package $(ARGS)

smoke: $(VENV)
	@$(PY) -m infra.smoke $(ARGS)

CHECKED := $(foreach name,imports layers citations blocks prose,tests/repository/test_$(name).py)

check: $(VENV) $(NODE)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy $(TYPED)
	$(PY) -m pytest -q $(CHECKED)
	$(PY) -m infra.check
	$(if $(wildcard agent/vip_agent.py),.venv/bin/vermin --quiet --no-tips --no-parse-comments --violations --target=3.6- agent/vip_agent.py)

format: $(VENV)
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# --- environments ------------------------------------------------------------------------------------------------

$(VENV): requirements-dev.txt requirements-runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "python3 >= 3.11 is needed, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "Name another one like this: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo '[1/3] creating .venv'
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@echo '[2/3] installing the locked packages (about a minute)'
	@$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@# Declared for 3.13 and later, measured to run on 3.11: the flag covers a whole pip run, so it has a run of its own.
	@$(PY) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || exit 0; \
		$(PIP) install --quiet --require-hashes --no-deps --ignore-requires-python -r requirements-runtime.txt
	@echo '[3/3] compiling them once'
	@$(PY) -m compileall -q -j 0 .venv/lib >/dev/null || true
	@touch $@

$(NODE): package.json package-lock.json $(VENV)
	@$(PY) -m serve.azurite --install
	@touch $@

$(AZ): requirements-az.txt
	@echo '[1/2] creating .venv-az and installing the locked azure-cli (a few minutes)'
	@test -x .venv-az/bin/python || $(PYTHON) -m venv .venv-az
	@.venv-az/bin/python -m pip --disable-pip-version-check --no-input install --require-hashes -r requirements-az.txt
	@echo '[2/2] compiling it once'
	@.venv-az/bin/python -m compileall -q -j 0 .venv-az/lib >/dev/null || true
	@touch $@

$(CHECKOV): requirements-checkov.txt
	@echo 'creating .venv-checkov and installing the locked checkov (about a minute)'
	@test -x .venv-checkov/bin/python || $(PYTHON) -m venv .venv-checkov
	@.venv-checkov/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r requirements-checkov.txt
	@touch $@

# --- the lock files: `make lock` after a change of a requirements*.in ----------------------------------------------

LOCK = .venv-lock/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --no-emit-index-url -q

lock:
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install -q uv; }
	$(LOCK) --python-version 3.11 -o requirements-dev.txt requirements-dev.in
	$(subst --universal,--python-platform x86_64-manylinux2014,$(LOCK)) --python-version 3.13 -o requirements-package.txt requirements-package.in
	$(LOCK) --python-version 3.13 --no-deps -o requirements-runtime.txt requirements-runtime.in
	$(LOCK) --python-version 3.11 -o requirements-node.txt requirements-node.in
	$(LOCK) --python-version 3.11 -o requirements-az.txt requirements-az.in
	$(LOCK) --python-version 3.11 -o requirements-checkov.txt requirements-checkov.in

clean:
	rm -rf build .venv .venv-az .venv-checkov .venv-lock node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
