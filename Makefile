# The commands of this project; CI runs the same ones. Needs Python >= 3.11 and make, nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: all certify check docs format ledger matrix test wheel clean

all: check test certify

# Certify ONNX Runtime's CPU execution provider against profile `decoder`.
certify: $(READY)
	$(BIN)/llm-conformance run --candidate onnxruntime:CPUExecutionProvider --profile decoder

# What has to hold before a change is looked at.
check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The standard and the config as texts, made anew from their data; a test fails while they are stale.
docs: $(READY)
	$(BIN)/python -m conformance.spec_text
	$(BIN)/python -m conformance.config_text

# Every mutant against every check at every precision, and the summary that the suite quotes of it.
matrix: $(READY)
	$(BIN)/llm-conformance selftest --matrix --out reports
	$(BIN)/python -m conformance.proof reports/kill-matrix.json

# Every runtime that is here against every profile of the ledger; writes reports/<standard>. Hours.
ledger: $(READY)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m conformance.publishing

# The tests of the suite itself, a process for each core; more threads would wait for each other.
test: $(READY)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n auto --dist loadfile

wheel: $(READY)
	$(BIN)/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

# The environment is made anew when what it is made from has changed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev,all]'
	touch $@

clean:
	rm -rf .venv dist conformance-results .cache .pytest_cache .mypy_cache .ruff_cache
