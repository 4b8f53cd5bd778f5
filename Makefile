# Commands of l2rclip-lite. Each first makes the environment that it needs, so on a fresh machine `make book` is enough.
# Variables: PYTHON=python3.12  CHAPTER=03 (or 03_rank_templates)  PROFILE=page  PORT=8000  JOBS=2  DATA=folder of data sets
#            KERNELS=avx2 (or sse, other: the arithmetic of other processors, for book, execute, verify and test)
#            RUNNERS="nbval book" (of papermill, nbval, colab, book: those of verify)
#            SHORT=1  TOWERS="names of open_clip"  OUT=folder  ONLY=part  SHOTS=folder  LOOK=--require (no Chromium is a failure)  FLAGS=options of the program behind
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: $(shell grep -oE '^[a-z]+:' Makefile | tr -d :)
PYTHON ?= $(or $(shell command -v python3.11 || command -v python3),$(error no python3 found: install Python 3.11))
PROFILE ?= page
PORT ?= 8000
JOBS ?= 2
SHOTS ?= _build/shots
KERNELS ?= native
BIN := .venv/bin
RUN := "$(BIN)/python" tools/kernels.py $(KERNELS) "$(BIN)/python"
PYTEST := $(RUN) -m pytest -n $(shell echo $$(($(JOBS) + 1))) --dist loadfile --no-loadscope-reorder
BOOK_TESTS := book/l2rclip_book book/_ext tools experiments/matrix tests/book tests/experiments --ignore=experiments/matrix/unit.py
# Every file that pip takes must have a hash in the lock. Where each package has a wheel, nothing is built from source.
LOCKED := "$(BIN)/python" -m pip install -q --progress-bar off --require-hashes --no-deps
WHEELS := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),--only-binary :all:)
UV_LOCK := "$(BIN)/uv" pip compile -q --universal --python-version 3.11.7 --generate-hashes --no-annotate --no-header
# Numbers on a page must not depend on the machine's cores; nothing here may wait for a hub, or send events.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE := 1
export ORT_DISABLE_TELEMETRY := 1
# glibc would hand each large block back to the system, and new ones cost a page fault per 4 KiB: half of an image tower's time.
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
export NODE_PATH := $(abspath .node)/node_modules
# The many processes of the tests would each compile the package anew without bytecode.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12
install: .venv/.made ## make .venv from requirements/lock.txt, with the package editable
.venv/.made: requirements/lock.txt requirements/torch.txt pyproject.toml
	"$(PYTHON)" -m venv .venv
	$(LOCKED) --no-index -r requirements/torch.txt 2>/dev/null || echo "torch comes from PyPI, on Linux with CUDA: 3 GB"
	if ls -d .venv/lib/*/site-packages/torch-*+cpu*; then gpu='^(nvidia|cuda|triton)'; else gpu='^$$'; fi; \
	  awk -v gpu="$$gpu" '/^[a-z]/ { on = $$0 !~ gpu } on' requirements/lock.txt > .venv/lock.txt
	$(LOCKED) $(WHEELS) -r .venv/lock.txt
	"$(BIN)/python" -m pip install -q --no-deps --no-build-isolation -e .
	"$(BIN)/python" -m pip check
	touch $@
book: .venv/.made ## execute every chapter, beside the tree, and build the HTML of that -> _build/html/index.html
	rm -rf _build/pages
	-$(RUN) tools/execute.py --profile $(PROFILE) --jobs $(JOBS) --out _build/pages $(FLAGS) $(CHAPTER)
	"$(BIN)/python" tools/build.py --pages _build/pages $(CHAPTER)
html: .venv/.made ## build the HTML from the outputs in the repository, warnings as errors
	"$(BIN)/python" tools/build.py
execute: .venv/.made ## execute chapters (CHAPTER=03, or all) and write book/NN_name.ipynb
	$(RUN) tools/execute.py --profile $(PROFILE) --jobs $(JOBS) $(FLAGS) $(CHAPTER)
verify: .venv/.made ## prove chapters (CHAPTER=03) in papermill, nbval, the book and a Colab-like environment; or all, and test the book
	$(if $(CHAPTER)$(FLAGS),,$(PYTEST) $(BOOK_TESTS))
	$(RUN) tools/verify.py --jobs $(JOBS) $(FLAGS) $(CHAPTER) $(if $(RUNNERS),--runner $(RUNNERS))
test: .venv/.made ## test the package, in a process more than JOBS, as some tests wait
	$(PYTEST) $(FLAGS)
spread: .venv/.made ## train what chapters train (CHAPTER=07, or all): five seeds, three kinds of kernels, hours -> book/results/spread
	"$(BIN)/python" tools/spread.py --jobs $(JOBS) $(CHAPTER)
lint: .venv/.made ## ruff, mypy --strict, codespell
	"$(BIN)/ruff" check . && "$(BIN)/ruff" format --check . && "$(BIN)/mypy" && "$(BIN)/codespell"
look: .venv/.made .node/.made ## open every built page in Chromium, in two themes and two widths; use what moves
	node tools/check_pages.mjs $(LOOK) _build/html "$(SHOTS)"
	printf '%s\n' playground moving browser | xargs -P 3 -I NAME node tools/check_NAME.mjs $(LOOK) _build/html "$(SHOTS)"
.node/.made:
	npm install --silent --no-save --no-audit --no-fund --prefix .node playwright-core@1 axe-core@4 reveal.js@5
	touch $@
bench: .venv/.made ## measure speed against its targets (ONLY=rows), 15 min
	"$(BIN)/python" tools/bench/bench.py $(if $(ONLY),--only "$(ONLY)")
studies: .venv/.made .snakemake-env/.made ## run what is missing of the studies, hours (SHORT=1: in miniature; ONLY=search: recipes) -> runs
	.snakemake-env/bin/snakemake $(FLAGS) -s experiments/Snakefile -j $(JOBS) -k --retries 1 --rerun-triggers mtime params \
	  --rerun-incomplete --quiet rules reason --config python="$(BIN)/python" $(if $(if $(SHORT),$(ONLY),$(ONLY:search=)),only="$(ONLY)") \
	  $(if $(SHORT),preset=smoke out=runs/studies-short,$(if $(filter search,$(ONLY)),preset=search out=runs/search,out=runs/studies) data="$(DATA)")
clip: .venv/.made ## chapter 9 with published CLIPs; needs network, GPU, gigabytes, hours (SHORT=1: in miniature) -> book/results/clip.csv
	env -u OMP_NUM_THREADS HF_HUB_OFFLINE=0 "$(BIN)/python" experiments/matrix/run_clip.py $(if $(TOWERS),--towers $(TOWERS)) \
	  $(if $(DATA),--data "$(DATA)") $(if $(OUT),--out "$(OUT)") $(if $(SHORT),--short)
.snakemake-env/.made: requirements/snakemake.txt | .venv/.made
	"$(BIN)/uv" venv -q --clear --python "$(BIN)/python" .snakemake-env
	"$(BIN)/uv" pip install -q --python .snakemake-env --require-hashes --build-constraints $< -r $<
	touch $@
pdf: .node/.made ## print the built book into one PDF, with contents, links and page numbers -> _build/book.pdf
	node tools/print_book.mjs
slides: .venv/.made .node/.made ## make slides of the main chapters: title, one sentence, three figures -> _build/slides/index.html
	"$(BIN)/python" tools/slides.py
serve: ## show the built book on http://127.0.0.1:8000 (PORT=...)
	"$(PYTHON)" -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html
release: .venv/.made ## build sdist and wheel -> dist, check them, try the wheel with the lowest and the newest torch; no upload
	rm -rf build dist
	"$(BIN)/uv" tool run -q --from build pyproject-build > /dev/null
	"$(BIN)/uv" tool run -q twine check --strict dist/*
	"$(BIN)/python" tools/release.py
lock: .venv/.made ## write the pins and hashes in requirements, keeping pins that still fit (FLAGS=--upgrade: all afresh)
	$(UV_LOCK) $(FLAGS) --extra all -c requirements/torch.txt pyproject.toml -o requirements/lock.txt
	$(UV_LOCK) $(FLAGS) requirements/snakemake.in -o requirements/snakemake.txt
licences: .venv/.made ## list the licences of the installed packages; one that pyproject.toml does not allow is an error
	"$(BIN)/pip-licenses" --output-file requirements/licences.md
mutation: .venv/.made ## change the core in many places and see whether a test notices, an hour or more -> mutants
	VIRTUAL_ENV=.venv "$(BIN)/uv" run -q --no-project --with mutmut mutmut run $(FLAGS)
clean: ## remove what was built (the environments stay)
	rm -rf _build build dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
