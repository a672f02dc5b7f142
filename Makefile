# `make demo` runs the main job, `make test` the tests, `make docs` builds site/; all make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# What was compiled is kept, or each worker and each command would compile tests and sources anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-elsewhere lint types docs clean

demo: $(INSTALLED)
	$(BIN)/ruc demo -o demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

# The tests that learn, as on processors without AVX-512 and without any vectors, in float32, on two threads.
test-elsewhere: $(INSTALLED)
	ATEN_CPU_CAPABILITY=avx2 RUC_PRECISION=float32 $(BIN)/python -m pytest -n 2 -m learns
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(BIN)/python -m pytest -m learns --threads 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs site

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,docs,onnx]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo site .pytest_cache .mypy_cache .ruff_cache
