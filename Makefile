# Commands of l2rclip-lite. On a fresh machine each one first makes .venv from the lock file, so `make book` is enough.
#   make book            execute the chapters, build the HTML   ->  _build/html/index.html
#   make test            all tests
#   make help            the rest
# Variables: PYTHON=python3.12  VENV=/path/to/venv  CHAPTER=05 (or 05_two_stages)  PROFILE=page  PORT=8000  JOBS=2  SHOTS=folder
#            DATA=folder  SHORT=1  ONLY=studies  FLAGS="options of Snakemake"  LOOK=--require (no Chromium is a failure)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
CHAPTER ?=
PROFILE ?= page
PORT ?= 8000
JOBS ?= 2
SHOTS ?= _build/shots
DATA ?=
ONLY ?=
FLAGS ?=
LOOK ?=
KEEP ?=
NODE ?= .node

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Snakemake has an environment of its own: it shares no package with the book's.
NODE_STAMP := $(NODE)/.installed
WORKFLOW := .snakemake-env
WORKFLOW_STAMP := $(WORKFLOW)/.installed
MUTATION := .mutation-env
MUTATION_STAMP := $(MUTATION)/.installed
TOOLS := .tools-env
TOOLS_STAMP := $(TOOLS)/.installed
OLDEST := .venv-oldest
NOLOCK := .venv-nolock
# Older releases warn of what newer ones changed, which is not ours, and cannot check types; what they answer must be right.
RANGE_TESTS := -m pytest -q -n $(JOBS) --dist loadfile -o addopts="--import-mode=importlib --doctest-modules" -o filterwarnings=default
# The first starts processes that make errors of warnings, the others need the extra onnx, and with it a newer torch.
YOUNGER := $(addprefix --ignore=,tests/unit/test_distributed.py tests/unit/test_export.py l2rclip_lite/export.py l2rclip_lite/export_command.py)
# Every file that pip takes must have a hash that the lock names. Built from source would be: skordinal where it has no wheel, which
# fetches tools that no hash holds; so on Linux on x86-64, where each package has one, nothing but wheels is taken.
LOCKED := -m pip install --quiet --progress-bar off --require-hashes --no-deps
WHEELS := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),--only-binary :all:)
# Where hashes are required pip prefers a file whose hash its index tells, so a build of torch that lies at hand, for the processor
# alone, would lose against gigabytes of CUDA. So that file is chosen first, without hashes, and then checked like every other.
TORCH := ^torch(vision)?==[0-9.]+
# torch's build with CUDA asks for packages that the one for the processor does not.
ASKS_CUDA := import importlib.metadata as m; exit(not any(r.startswith(("cuda", "nvidia")) for r in m.requires("torch")))
# A unit that failed stops no other one. A unit is run where its files are missing or studies.yaml says something else.
RUN := "$(WORKFLOW)/bin/snakemake" $(FLAGS) -s experiments/Snakefile -j $(JOBS) -k --rerun-triggers mtime params \
	--rerun-incomplete --quiet rules reason --config python="$(BIN)/python" $(if $(ONLY),only="$(ONLY)")

# One thread: the numbers on a page do not depend on the machine's cores, and torch's threads do not fight on a busy one.
export OMP_NUM_THREADS ?= 1
# Nothing here may wait for a hub.
export HF_HUB_OFFLINE := 1
export NODE_PATH := $(abspath $(NODE))/node_modules
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export COVERAGE_FILE := $(abspath _build/coverage/data)
# The kernels started below are this environment's, whatever is activated.
unexport PYTHONPATH PYTHONHOME

.PHONY: help install book html execute verify test lint look browser bench torture coverage mutation snakemake smoke matrix sweep serve lock clean audit licences sbom oldest nolock

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv from requirements/lock.txt, with the package editable

$(STAMP): requirements/lock.txt requirements/cuda.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11 or give PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip download --quiet --progress-bar off --no-deps -d "$(VENV)/torch" $$(grep -oE '$(TORCH)' requirements/lock.txt)
	awk '/^torch(vision)?==/ { on = 1 } on { print } !/\\$$/ { on = 0 }' requirements/lock.txt > "$(VENV)/torch/pins.txt"
	"$(BIN)/python" $(LOCKED) --no-index --find-links "$(VENV)/torch" -r "$(VENV)/torch/pins.txt"
	rm -r "$(VENV)/torch"
	"$(BIN)/python" $(LOCKED) $(WHEELS) -r requirements/lock.txt
	if "$(BIN)/python" -c '$(ASKS_CUDA)'; then "$(BIN)/python" $(LOCKED) $(WHEELS) -r requirements/cuda.txt; fi
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation -e .
	"$(BIN)/python" -m pip check
	touch "$@"

book: execute ## execute every chapter at PROFILE=page, then build the HTML with warnings as errors
	"$(BIN)/python" tools/build.py

html: $(STAMP) ## build the HTML from the outputs in the repository, without executing
	"$(BIN)/python" tools/build.py

execute: $(STAMP) ## execute chapters (CHAPTER=05, or all) and write book/NN_name.ipynb
	"$(BIN)/python" tools/execute.py --profile $(PROFILE) --jobs $(JOBS) $(CHAPTER)

verify: $(STAMP) ## prove chapters (CHAPTER=05, or all) in papermill, nbval, the book and a Colab-like environment
	"$(BIN)/python" tools/verify.py --jobs $(JOBS) $(CHAPTER)

test: $(STAMP) ## run every test
	"$(BIN)/python" -m pytest -n $(JOBS) --dist loadfile

coverage: $(STAMP) ## run every test and see which lines and branches ran -> _build/coverage, TABLE=file for the table
	rm -rf _build/coverage
	mkdir -p _build/coverage
	"$(BIN)/coverage" run -m pytest -n $(JOBS) --dist loadfile
	"$(BIN)/coverage" combine --quiet
	"$(BIN)/coverage" report
	"$(BIN)/coverage" html --quiet --directory _build/coverage/html
	"$(BIN)/coverage" json --quiet -o _build/coverage/report.json
	"$(BIN)/python" torture/covered.py _build/coverage/report.json $(if $(TABLE),--out "$(TABLE)")

lint: $(STAMP) ## ruff, mypy --strict, codespell
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/codespell"

look: $(STAMP) $(NODE_STAMP) ## open every built page in Chromium, light and dark, wide and narrow, screenshots in SHOTS; then use the playground and grade photos
	node tools/check_pages.mjs $(LOOK) _build/html "$(SHOTS)"
	node tools/check_playground.mjs $(LOOK) _build/html
	node tools/check_browser.mjs $(LOOK) --python "$(BIN)/python" $(if $(DATA),--data "$(DATA)") _build/html "$(SHOTS)"

browser: $(NODE_STAMP) ## get the two modules that `make look` needs besides Node and Chromium

$(NODE_STAMP):
	@command -v npm >/dev/null || { echo "make: no npm found; install Node.js" >&2; exit 1; }
	npm install --silent --no-save --no-audit --no-fund --prefix "$(NODE)" playwright-core@1 axe-core@4
	touch "$@"

bench: $(STAMP) ## measure speed and memory against the targets (ONLY=rows, DATA=folder), 15 min -> benchmarks/results
	"$(BIN)/python" benchmarks/bench.py $(if $(ONLY),--only "$(ONLY)") $(if $(DATA),--data "$(DATA)")

torture: $(STAMP) ## kill, starve and deceive the package (ONLY=campaigns, SHORT=1 in 5 min) -> book/results/reliability.json
	"$(BIN)/python" torture/torture.py $(if $(SHORT),--short --jobs $(JOBS)) $(if $(ONLY),--only "$(ONLY)") $(if $(DATA),--data "$(DATA)")

mutation: $(STAMP) $(MUTATION_STAMP) ## change the package in 240 places and see whether a test notices, an hour or more -> book/results/mutation.json
	mkdir -p _build
	"$(MUTATION)/bin/python" torture/mutants.py > _build/mutants.json
	"$(BIN)/python" torture/mutation.py _build/mutants.json --out book/results/mutation.json

$(MUTATION_STAMP): requirements/mutation.txt
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11 or give PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv "$(MUTATION)"
	"$(MUTATION)/bin/python" $(LOCKED) $(WHEELS) -r requirements/mutation.txt
	touch "$@"

snakemake: $(WORKFLOW_STAMP) ## make .snakemake-env from requirements/snakemake.txt

# connection-pool has no wheel: it is built with the locked tools.
$(WORKFLOW_STAMP): requirements/snakemake.txt requirements/build.txt
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11 or give PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv "$(WORKFLOW)"
	"$(WORKFLOW)/bin/python" $(LOCKED) $(WHEELS) -r requirements/build.txt
	"$(WORKFLOW)/bin/python" $(LOCKED) $(WHEELS) --no-binary connection-pool --no-build-isolation -r requirements/snakemake.txt
	"$(WORKFLOW)/bin/python" -m pip check
	touch "$@"

smoke: $(STAMP) $(WORKFLOW_STAMP) ## run the whole matrix in miniature (minutes) -> runs/matrix-smoke
	$(RUN) preset=smoke out=runs/matrix-smoke

matrix: $(STAMP) $(WORKFLOW_STAMP) ## run what is missing of the matrix (hours; DATA=folder of the real data sets) -> runs/matrix
	@test -z "$(DATA)" || test -d "$(DATA)" || { echo "make: there is no folder DATA=$(DATA)" >&2; exit 1; }
	$(RUN) out=runs/matrix data="$(DATA)"

sweep: $(STAMP) $(WORKFLOW_STAMP) ## run what is missing of the grid in experiments/matrix/sweep.yaml (FLAGS=-n plans, LIMIT=20) -> runs/sweep
	$(RUN) preset=sweep out=runs/sweep $(if $(LIMIT),limit=$(LIMIT))

$(TOOLS_STAMP): requirements/tools.txt
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11 or give PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv "$(TOOLS)"
	"$(TOOLS)/bin/python" $(LOCKED) $(WHEELS) -r requirements/tools.txt
	touch "$@"

audit: $(TOOLS_STAMP) ## ask for known weaknesses of the locked packages (Error 1: there are; Error 3: the data cannot be had)
	"$(TOOLS)/bin/python" tools/audit.py

licences: $(STAMP) ## read the licences of every locked package -> requirements/licences.md
	"$(BIN)/python" tools/licences.py

sbom: $(TOOLS_STAMP) ## list everything that this project is made of, in CycloneDX -> requirements/sbom.cdx.json
	"$(TOOLS)/bin/python" tools/sbom.py

oldest: ## unit tests with the lowest versions that pyproject.toml allows, in .venv-oldest (3 GB to download)
	"$(PYTHON)" -m venv "$(OLDEST)"
	"$(OLDEST)/bin/python" $(LOCKED) $(WHEELS) -r requirements/oldest.txt
	"$(OLDEST)/bin/python" -m pip install --quiet --no-deps --no-build-isolation -e .
	"$(OLDEST)/bin/python" $(RANGE_TESTS) $(YOUNGER) tests/unit l2rclip_lite

nolock: ## unit tests with the newest versions that pyproject.toml allows, without the lock, in a fresh .venv-nolock
	"$(PYTHON)" -m venv --clear "$(NOLOCK)"
	"$(NOLOCK)/bin/python" -m pip install --quiet --progress-bar off -e '.[plots,baselines,onnx,dev]'
	"$(NOLOCK)/bin/python" -m pip check
	"$(NOLOCK)/bin/python" -m pytest -q -n $(JOBS) --dist loadfile tests/unit tests/data tests/oracles l2rclip_lite

serve: ## show the built book on http://127.0.0.1:8000 (PORT=...)
	@test -e _build/html/index.html || { echo "make: no book yet; run 'make book' first" >&2; exit 1; }
	"$(PYTHON)" -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lock: ## resolve pyproject.toml and Snakemake afresh and write pins and hashes in requirements/ (KEEP=1 changes no pin)
	"$(PYTHON)" tools/lock.py $(if $(KEEP),--keep)
	"$(PYTHON)" tools/lock.py $(if $(KEEP),--keep) snakemake
	"$(PYTHON)" tools/lock.py $(if $(KEEP),--keep) mutation
	"$(PYTHON)" tools/lock.py $(if $(KEEP),--keep) tools
	"$(PYTHON)" tools/lock.py $(if $(KEEP),--keep) oldest

clean: ## remove what was built (the environment stays)
	rm -rf _build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path "./$(VENV)" -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
