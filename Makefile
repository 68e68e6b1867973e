# The two commands of the README, `make demo` and `make test`, need only Python >= 3.11, make and
# git; everything else is installed, pinned, into .venv.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test test-unit test-faults coverage lint format install lock schema bench bench-evaluate clean

demo: $(INSTALLED)
	snakemake --cores all
	@echo 'Ask it: . .venv/bin/activate; counterpoint search --run results/demo "YOUR ARGUMENT"'

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Counterpoint needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $(INSTALLED)

# Two processes on two cores: a second thread of each would wait for the other's.
test test-unit coverage: export OMP_NUM_THREADS := 1

test: $(INSTALLED)
	pytest -n 2

# The inner loop: what needs neither Snakemake nor a browser nor a GPU.
test-unit: $(INSTALLED)
	pytest -n 2 -m "not workflow and not browser and not faults and not gpu"

test-faults: $(INSTALLED)
	pytest -m faults

coverage: $(INSTALLED)
	pytest -n 2 --cov --cov-report term:skip-covered --cov-report html


lint: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

format: $(INSTALLED)
	ruff check --fix-only .
	ruff format .
	snakefmt Snakefile workflow

schema: $(INSTALLED)
	counterpoint schema --out workflow/schemas/config.schema.json

# Threads that wait passively are not slowed by whatever else the machine is doing.
bench-evaluate: $(INSTALLED)
	OMP_WAIT_POLICY=passive python benchmarks/evaluate.py --all-unseen \
		--out results/benchmarks/evaluate.json

# The engine against the original study's loop and sentence-transformers: hours on two cores; `--only` of
# `python -m benchmarks.engine --help` takes some measurements. The machine must be idle.
bench: $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements-bench.lock
	python -m benchmarks.engine --out results/benchmarks/engine.json --markdown docs/benchmarks.md

# Makes the locks anew from the ranges in pyproject.toml, in an environment of its own. torch goes
# first and pinned: where an index has its build for CPUs, another version would bring gigabytes of
# GPU libraries.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0
	.venv-lock/bin/pip install --quiet --editable '.[dev,serve,slurm]'
	.venv-lock/bin/pip freeze --exclude-editable | sed 's/^torch==\([0-9.]*\).*/torch==\1/' > requirements.lock
	.venv-lock/bin/pip install --quiet --editable '.[bench]'
	.venv-lock/bin/pip freeze --exclude-editable | grep -v '^torch==' | \
		grep -vxFf requirements.lock > requirements-bench.lock
	rm -rf .venv-lock

clean:
	rm -rf $(VENV) .snakemake .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage .coverage.* htmlcov
