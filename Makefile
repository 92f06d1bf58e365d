# The environment lives in .venv; `make TORCH=cuda setup` takes torch's CUDA build.
PYTHON ?= python3
TORCH ?= cpu
VENV := .venv
PORT ?= 5000
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ENVIRONMENT := $(VENV)/installed-$(TORCH)
# Where .venv was made, if that is elsewhere: its programs begin with that path, and do not run here or run the other's.
MOVED := $(shell made=$$(sed -n 's/^command = .* -m venv [^/]*//p' $(VENV)/pyvenv.cfg 2>/dev/null); \
	test -z "$$made" || test "$$made" -ef $(VENV) || echo "$$made")

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(ENVIRONMENT) data/own ## make .venv from the lock file, and data/own for your photos

repro: setup ## run the line: what changed since the last time, and what follows from it
	python -m pipeline.command.doctor
	dvc repro
	python -m pipeline.command.overrides

test: setup ## all default tests
	python -m pytest -n 2 --dist worksteal -q

test-slow: setup ## the tests that train or start many DVC runs
	python -m pytest -n 2 --dist worksteal -q -m slow

mutants: setup ## plant each small bug of tests/mutants/ and see whether the default tests fail
	python -m tests.mutants

check: setup ## style, types, import direction, DVC's deps, params.yaml up to date
	ruff check .
	ruff format --check .
	mypy
	python -m pytest -q tests/test_structure.py

smoke: setup ## the whole line on sixty generated images, in seconds
	python -m tests.smoke

params: setup ## compose conf/ into params.yaml, and lift hand edits of params.yaml into conf/local/
	dvc repro --force --single-item configure

ui: setup ## MLflow's pages on this machine, at the chart view of the runs
	PORT=$(PORT) python -m pipeline.command.ui

bench: setup ## the benchmarks, with their reports in benchmarks/
	python -m benchmarks.start_up
	python -m benchmarks.refusals
	python -m benchmarks.tracking
	python -m benchmarks.sweep

lock: setup ## pin what is installed in .venv
	(sed -n '/^#/p' requirements.lock; pip freeze | grep -v '^torch==') > requirements.lock.new
	mv requirements.lock.new requirements.lock

docs: repro ## the README's pictures and the table of edits and stages
	cp -f reports/overview.png docs/overview.png && chmod 644 docs/overview.png
	python -m tests.what_runs
	python -m tests.pages
	python -m tests.walk.picture
	python -m tests.tour.pages

clean: ## remove all live runs, checkpoints and caches; keeps data, downloads and the MLflow store
	rm -rf runs checkpoints chunks dvc_plots .pytest_cache .ruff_cache .mypy_cache

ifneq ($(MOVED),)
$(ENVIRONMENT): moved
endif

moved:
	$(info note: the project was moved or copied: its .venv was made in $(MOVED) and is made anew, as by `make setup`)
	rm -rf $(VENV)

$(VENV)/installed-%: requirements.lock requirements-torch-%.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-torch-$*.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	touch $@

# DVC tracks the folder of your photos; git can't hold it while it is empty, and DVC warns of an empty one three times a run.
data/own:
	mkdir -p data/own
	touch data/own/.keep

.PHONY: help setup repro test test-slow mutants check smoke params ui bench lock docs clean moved
