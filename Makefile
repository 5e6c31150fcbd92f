# `make` lists the targets. Everything that a target needs, it installs or builds first.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

# kind, local or existing; empty lets hack/cluster choose (see `hack/cluster --help`).
export CLUSTER ?=
PYTHON ?= python3
export PYTHON
KWOK_NODES ?= 10
# More options for helm, for example: make install INSTALL_ARGS='--set replicas=1'
INSTALL_ARGS ?=
# More options for pytest, for example: make unit PYTEST_ARGS='-k matching -x'
PYTEST_ARGS ?=

BIN := .venv/bin
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' operator/agentcorps/__init__.py)
CLUSTER_TOOL := $(PYTHON) hack/cluster
SHELL_SCRIPTS := .ci/run $(wildcard hack/*.sh)

# One stamp per content of the lock and of the project file: a changed lock installs again.
INSTALLED := .venv/.installed-$(shell cat requirements/dev.lock pyproject.toml | cksum | cut -d' ' -f1)

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z][a-z0-9-]*:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: install ## Real cluster, operator, a pool of agents, tasks, results
	@eval "$$($(CLUSTER_TOOL) env)"; $(BIN)/python hack/demo

.PHONY: test
test: venv ## Every check and test; a missing cluster is built and started
	@$(MAKE) -j2 tools check
	@$(MAKE) integration
	@$(MAKE) e2e

##@ Checks

.PHONY: check
check: lint types layers verify unit ## All that needs no cluster

.PHONY: lint
lint: venv ## Style of Python, shell and YAML; a sentence on every test
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)
	@$(BIN)/yamllint --strict .
	@echo "lint: ok"

.PHONY: types
types: venv ## mypy, strict
	@$(BIN)/mypy

.PHONY: layers
layers: venv ## The architecture's import contracts
	@$(BIN)/lint-imports --no-logo

.PHONY: unit
unit: venv ## Tests without a cluster
	@$(BIN)/pytest tests/unit $(PYTEST_ARGS)

.PHONY: integration
integration: venv tools ## Tests on a real API server of their own
	@$(CLUSTER_TOOL) tools --with prometheus >/dev/null
	@$(BIN)/pytest tests/integration tests/faults -m "integration or quick" $(PYTEST_ARGS)

.PHONY: model
model: venv ## A million moves through random histories of replicas, agents and API server
	@$(BIN)/pytest tests/model $(PYTEST_ARGS)

# BENCH_OUT is the folder of bench.json and its plots, BENCH_ARGS more options (see --help of run).
BENCH := $(BIN)/python tests/perf/bench
BENCH_OUT ?= docs/performance
BENCH_ARGS ?=

.PHONY: bench
bench: venv tools ## Floor, operator, peers and faults on a real control plane (half an hour)
	@$(BENCH) run --out $(BENCH_OUT) $(BENCH_ARGS)

.PHONY: bench-quick
bench-quick: venv tools ## The same on smaller numbers (less than five minutes)
	@$(BENCH) run --quick --out $(BENCH_OUT) $(BENCH_ARGS)

.PHONY: profile
profile: venv tools ## Flame graph of the operator while the benchmark's burst runs (needs root)
	@$(BENCH) profile --out $(BENCH_OUT) $(BENCH_ARGS)

.PHONY: perf-idle
perf-idle: venv tools ## CPU, memory and API writes while a thousand agents are idle
	@$(BIN)/pytest -s tests/perf/test_idle.py $(PYTEST_ARGS)

.PHONY: perf-decisions
perf-decisions: venv ## CPU time of assignment decisions alone, against tests/perf/decisions.yaml
	@$(BIN)/pytest -s tests/perf/test_decisions.py $(PYTEST_ARGS)

.PHONY: validate-simulation
validate-simulation: venv tools ## What `agentcorps simulate` predicts, held against a real operator (eight minutes)
	@$(BIN)/pytest -s tests/perf/test_simulation.py $(PYTEST_ARGS)

# FAULTS=all takes the design's sizes: a crash at every write, ten minutes without an API server,
# ten thousand tasks at once; without it, a crash at the first write of each kind, and less of those.
# FAULTS_REPORT=docs/reliability/faults.md writes the table.
.PHONY: faults
faults: venv tools ## Signals, a proxy that fails and lies, API server and etcd going away
	@$(BIN)/pytest tests/faults $(PYTEST_ARGS)

# What does not start is waited for in tests, so the operator has less patience there.
.PHONY: e2e
e2e: INSTALL_ARGS := --set unschedulableSeconds=8 --set minRuntimeSeconds=2 $(INSTALL_ARGS)
e2e: install ## Tests on real pods in the cluster of cluster-up
	@eval "$$($(CLUSTER_TOOL) env)"; $(BIN)/pytest tests/e2e $(PYTEST_ARGS)

.PHONY: verify
verify: venv ## Whatever is generated is up to date with its sources
	@hack/verify.sh

##@ Generated files

.PHONY: generate
generate: venv ## CRDs, the chart's copy of them, the gateway's OpenAPI document
	@$(BIN)/python hack/generate

.PHONY: lock
lock: venv ## Dependency locks (LOCK_ARGS=--upgrade takes newer versions)
	@hack/lock.sh $(LOCK_ARGS)

##@ Cluster

.PHONY: tools
tools: ## The programs of the local cluster; built once, then cached
	@$(CLUSTER_TOOL) tools >/dev/null

.PHONY: cluster-up
cluster-up: ## Start the cluster (CLUSTER=kind|local|existing)
	@$(CLUSTER_TOOL) up >/dev/null

.PHONY: cluster-down
cluster-down: ## End the cluster and every process of it
	@$(CLUSTER_TOOL) down

.PHONY: cluster-status
cluster-status: ## What runs, and where its files are
	@$(CLUSTER_TOOL) status

.PHONY: cluster-kwok
cluster-kwok: cluster-up ## Add KWOK_NODES simulated nodes for scale tests
	@$(CLUSTER_TOOL) kwok $(KWOK_NODES)

.PHONY: env
env: ## Shell lines for kubectl, helm and agentcorps: eval "$(make env)"
	@$(CLUSTER_TOOL) env
	@echo 'export PATH="$(CURDIR)/$(BIN):$$PATH"'

##@ Operator

.PHONY: images
images: venv ## Build the images and load them into the cluster
	@hack/images.sh $(VERSION)

.PHONY: install
install: venv ## Start the cluster, build the images, install or upgrade the operator
	@$(MAKE) cluster-up
	@$(MAKE) images
	@hack/install.sh $(VERSION) $(INSTALL_ARGS)

.PHONY: uninstall
uninstall: ## Remove the operator, its custom resources and the CRDs
	@hack/uninstall.sh

##@ House

.PHONY: venv
venv: $(INSTALLED) ## Create or refresh .venv from the lock
	@:

$(INSTALLED):
	@hack/venv.sh
	@rm -f .venv/.installed-*
	@touch $@

.PHONY: clean
clean: ## Remove what was built in the checkout (not the cluster, nor its cache)
	@rm -rf .venv .wheels build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
