# make help lists what there is. Everything runs in .venv; a second run of any target installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# CI installs the versions of constraints.txt; elsewhere the ranges of pyproject.toml hold.
CONSTRAINTS := $(if $(CI),-c constraints.txt,)
EXTRAS := course,dev,onnx
# A process per core, one thread each; the tests of a file, or the cells of a notebook, stay in one process.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=180 -p no:cacheprovider

.PHONY: help install demo test test-fast lint unit coverage notebooks notebook-tests bench fuzz torture lab wheel clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(CONSTRAINTS) -e '.[$(EXTRAS)]'
	@touch $@

install: $(STAMP)  ## make .venv with all that the course needs

demo: $(STAMP)  ## turn a photo into a painting, in out/
	@$(BIN)/nst demo -o out/demo.png

test: lint unit notebook-tests  ## lint, unit tests, every notebook with the smoke profile

test-fast: lint  ## lint and the tests that take seconds
	$(PYTEST) tests -m "not slow"

lint: $(STAMP)  ## style, docstrings and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(STAMP)  ## the unit tests alone
	$(PYTEST) tests

coverage: $(STAMP)  ## how much of the library the unit tests run
	$(BIN)/python -m pytest tests --cov --cov-report=term-missing:skip-covered

notebook-tests: $(STAMP)  ## the notebooks as tests alone
	NST_PROFILE=smoke $(PYTEST) $(NBVAL) notebooks/*.ipynb notebooks/solved/*.ipynb

notebooks: $(STAMP)  ## build the notebooks from their sources, executed with the cpu profile
	$(BIN)/python tools/build_notebooks.py

bench: $(STAMP)  ## measure this machine beside the code as it is taught (ten minutes; close all else)
	$(BIN)/python -m benchmarks

fuzz: $(STAMP)  ## load 5,000 mutated pictures and compare with Pillow (two minutes)
	$(BIN)/python tests/fuzz/run.py --count 5000 --seed 0

torture: $(STAMP)  ## stop trainings at 60 random moments, damage checkpoints 100 times (a quarter of an hour)
	$(BIN)/python tests/torture/run.py

lab: $(STAMP)  ## open JupyterLab on the notebooks
	@$(BIN)/jupyter trust notebooks/solved/*.ipynb > /dev/null  # JupyterLab shows stored SVG in trusted notebooks only
	$(BIN)/jupyter lab --config tools/jupyter_lab_config.py notebooks

wheel: $(STAMP)  ## build the package as a wheel, in dist/
	$(BIN)/python -m build --wheel -o dist .

clean:  ## remove .venv and what was made
	rm -rf $(VENV) out dist build *.egg-info
