# Every target sets up by itself what it needs (.ci/setup.sh); the first time takes some minutes.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint docs benchmarks pack clean clean-cache

OUT ?= demo-out
TESTS ?= tests
ARGS ?=
export PYTHON
RUN = @sh .ci/setup.sh

help:         ## Show this list
	@sed -n 's/^\([a-z-]*:\) *## /  make \1 /p' Makefile
	@echo "Variables: OUT=folder of the demo, TESTS=tests/unit, ARGS='-k mfcc', PYTHON=python3.12"

setup:        ## Python environment, dependencies and Java, without running anything
	$(RUN)

demo:         ## Make a small collection of videos, filter it, suggest sounds, write the report into OUT
	$(RUN) avlib demo --out $(OUT) $(ARGS)

test:         ## Lint, types, layers and all tests but the long ones
	$(RUN) sh .ci/check.sh $(TESTS) $(ARGS)

test-long:    ## The same with the long tests
	$(RUN) sh .ci/check.sh $(TESTS) -m "" $(ARGS)

lint:         ## Lint, types and layers only
	$(RUN) sh .ci/check.sh

docs:         ## Write the reference of the code into build/docs, and check its links
	$(RUN) python docs/reference.py

benchmarks:   ## Measure speed and memory; nothing passes or fails
	$(RUN) python -m pytest tests/benchmarks -m "" -s $(ARGS)

pack:         ## Wheel, environment and JARs for a cluster, into dist; ARGS='--without-cuda --python /usr/bin/python3.11'
	$(RUN) python .ci/pack.py $(ARGS)

clean:        ## Remove .venv and everything that was made in this folder
	rm -rf .venv $(OUT) build dist spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-cache:  ## Remove installed dependencies that no clone on this machine uses any more
	@"$${PYTHON:-python3}" .ci/environment.py clean
