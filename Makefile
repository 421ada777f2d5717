# Thin aliases. Each makes the environment first, where it is missing or out of date.
#   PYTHON=python3.12   the interpreter of a new environment (3.11 to 3.13)
#   EXTRAS=gpu          TensorFlow with CUDA
.DEFAULT_GOAL := help
.PHONY: help env repro search up-to-date check-lock sample report readme summary reference machine cache \
	results-pull-request gate gate-committed gate-simulation test lint types pytest benchmark faults fuzz \
	audit-dependencies sbom mlflow-ui lock
SHELL := /bin/sh

BIN := .venv/bin
# Stages call `python`: it has to be that of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# No network but the package index.
export MLFLOW_DISABLE_TELEMETRY := true
export PYTHON EXTRAS
unexport PYTHONHOME PYTHONPATH

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

env: ## make .venv from the locked versions
	@sh scripts/environment.sh

# SET holds overrides without blanks inside: SET="splits=[published] train.recipe.epochs=5".
repro: env ## regenerate the results, JOBS stages at a time; PROFILE=local SET="key=value …" for another profile
	$(BIN)/lung-attention repro $(if $(strip $(PROFILE)),--profile '$(strip $(PROFILE))') \
		$(if $(strip $(JOBS)),--jobs '$(strip $(JOBS))') $(foreach override,$(SET),--set '$(override)')

# STORAGE is the address of a database for many workers; it may hold a password, so it goes by environment.
search: env ## search a head's settings; DATASET=iqoth BACKBONE=densenet121 HEAD=attention TRIALS=50 PROFILE=local
	@$(if $(strip $(STORAGE)),LUNG_ATTENTION_STORAGE='$(strip $(STORAGE))') $(BIN)/lung-attention search \
		--profile '$(or $(strip $(PROFILE)),sample)' \
		--dataset '$(strip $(DATASET))' --backbone '$(strip $(BACKBONE))' --head '$(strip $(HEAD))' \
		$(if $(strip $(TRIALS)),--set 'search.trials=$(strip $(TRIALS))') $(foreach override,$(SET),--set '$(override)')

up-to-date: env ## fail unless `dvc repro` finds nothing to do
	@said=$$($(BIN)/dvc repro) || { echo "$$said"; exit 1; }; \
	echo "$$said"; \
	case $$said in \
	*'Data and pipelines are up to date.'*) ;; \
	*) echo 'error: a second dvc repro ran stages again' >&2; exit 1 ;; \
	esac

check-lock: env ## fail, naming the stages, unless dvc.lock belongs to the code; needs no data
	$(BIN)/lung-attention check-lock

sample: env ## draw the embedded sample anew
	$(BIN)/lung-attention make-sample

report: ## print the report, PROFILE=local for another profile's
	@cat 'results/$(or $(strip $(PROFILE)),sample)/report.md'

readme: env ## write the committed results into README.md, and into reports whether they are of this code
	@if [ -f results/local/dvc.lock ]; then \
		$(BIN)/lung-attention stale --profile local && $(BIN)/lung-attention crate --profile local; fi
	$(BIN)/lung-attention readme

summary: ## print the gate's tables, where there are any, and the sample's report
	@cat gate*.md results/sample/report.md 2>/dev/null || true

reference: env ## regenerate the sample's results of REFERENCE=<revision> on this machine, for the gate
	@sh scripts/reference.sh '$(REFERENCE)'

machine: ## print a name of this kind of processor: another one rounds differently
	@printf 'machine=%s\n' "$$(grep -m 2 -E '^(model name|flags)' /proc/cpuinfo | cksum | cut -d ' ' -f 1)"

cache: env ## keep DVC's cache in DATA_HOME (default: ~/.cache/lung-attention), beside any checkout
	$(BIN)/dvc cache dir --local "$${DATA_HOME:-$$HOME/.cache/lung-attention}/dvc"

results-pull-request: ## propose new results of PROFILE with the gate's table MARKDOWN=gate.md (needs gh)
	@sh scripts/pull_request.sh '$(PROFILE)' '$(MARKDOWN)'

gate: env ## compare results with REFERENCE=<revision or folder>; PROFILE=, MARKDOWN=, JSON=, STRICT=1
	$(BIN)/lung-attention gate --reference '$(strip $(REFERENCE))' \
		$(if $(strip $(PROFILE)),--profile '$(strip $(PROFILE))') \
		$(if $(strip $(MARKDOWN)),--markdown '$(strip $(MARKDOWN))') \
		$(if $(strip $(JSON)),--json '$(strip $(JSON))') $(if $(strip $(STRICT)),--strict)

# Nothing to compare is no failure here: a revision before the first results of real images has none.
gate-committed: env ## the gate on the committed results of real images, where REFERENCE has some
	@if git cat-file -e '$(REFERENCE):results/local/summary.csv' 2>/dev/null; \
	then $(MAKE) --no-print-directory gate PROFILE=local; \
	else echo 'no committed results of real images in $(REFERENCE) to compare with'; fi

gate-simulation: env ## measure luck, simulate the gate's false alarms and power, and write them into docs/gate.md
	$(BIN)/python tools/gate_luck.py
	$(BIN)/python tools/gate_simulation.py

test: lint types pytest ## all checks

lint: env ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: env ## mypy
	$(BIN)/mypy

pytest: env ## the tests, JOBS folders at a time, and the slowest of them; ARGS="tests/models -k alpha" for some of them
	$(BIN)/pytest -n $(or $(strip $(JOBS)),auto) --maxprocesses 4 --dist loadscope --no-loadscope-reorder --durations 40 $(ARGS)

benchmark: env ## measure speed and memory, and write them into docs/speed.md; PARTS="growth steps" for some of it
	$(BIN)/python -m tools.benchmark $(foreach part,$(PARTS),--only '$(part)')

faults: env ## kill stages and feed parsers, and write what fell into docs/faults.md; ARGS="--kills 10 --inputs 2000": a part
	PYTHONPATH=tools $(BIN)/python -m faults $(ARGS)

fuzz: env ## feed a parser by what its code does with inputs (needs atheris); PARSER=DICOM SECONDS=3600
	PYTHONPATH=tools $(BIN)/python -m fuzz '$(or $(strip $(PARSER)),DICOM)' -max_total_time=$(or $(strip $(SECONDS)),60)

audit-dependencies: ## fail where a locked package has a known fault
	@sh scripts/dependencies.sh audit

sbom: ## list the locked packages as CycloneDX in sbom.json
	@sh scripts/dependencies.sh sbom

mlflow-ui: env ## look at the runs, on http://127.0.0.1:5000, or another PORT=
	@$(BIN)/lung-attention ui $(if $(strip $(PORT)),--port '$(strip $(PORT))')

lock: ## resolve requirements.lock (needs uv); ARGS=--upgrade for the newest versions
	uv pip compile --quiet --universal --python-version 3.11 --extra predict --extra train --extra track --extra dev --generate-hashes \
		--custom-compile-command 'make lock' $(ARGS) pyproject.toml --output-file requirements.lock
