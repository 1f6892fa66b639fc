# Needs Python >= 3.11, a Rust toolchain, compilers of C and C++, and Perl; everything else comes from the package registries
# into .uv/, .venv/ and target/. `make setup` builds the environment; every target that needs it asks for it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := .venv/bin

# The environment is made by uv from the lock alone; a newer interpreter is never downloaded.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
export VIRTUAL_ENV := $(CURDIR)/.venv
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# The tests start Python some hundreds of times, and compiling what it imports is more than half of each start.
unexport PYTHONDONTWRITEBYTECODE

CORE_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(wildcard crates/*/Cargo.toml) $(shell find crates -name '*.rs')

.PHONY: help
help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.PHONY: setup
setup: .venv/.core-stamp  ## make .venv with everything in it, the core built in release mode

.PHONY: tools
tools:
	@missing=0; \
	need() { echo "make: missing $$1."; echo "  Remedy: $$2"; missing=1; }; \
	[ -n "$(PYTHON)" ] || need "Python >= 3.11" "install it (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python) or name one: make PYTHON=/path/to/python3.11"; \
	command -v cargo >/dev/null 2>&1 || need "cargo, the Rust toolchain (>= 1.88)" "install it with rustup (https://rustup.rs) or your system's packages, and put it on PATH"; \
	rust=$$(rustc --version 2>/dev/null || true); [ -z "$$rust" ] || [ -z "$(PYTHON)" ] || $(PYTHON) -c \
		'import re, sys; sys.exit(tuple(map(int, re.findall(r"\d+", sys.argv[1])[:2])) < (1, 88))' "$$rust" \
		|| need "a newer Rust toolchain (>= 1.88, this is $$rust)" "rustup update, or install it with rustup (https://rustup.rs)"; \
	command -v cc >/dev/null 2>&1 || need "cc, a C compiler" "Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install"; \
	for tool in c++ perl; do command -v $$tool >/dev/null 2>&1 || need "$$tool, which builds the Kafka client and its TLS" \
		"Debian, Ubuntu: apt install build-essential perl; macOS: xcode-select --install"; done; \
	exit $$missing

.uv/bin/uv: requirements/uv.txt | tools
	@echo "== setup: installer into .uv"
	@$(PYTHON) -m venv .uv || { rm -rf .uv; echo "make: $(PYTHON) cannot make virtual environments."; \
		echo "  Remedy: install its venv module (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

.venv/.deps-stamp: requirements/dev.txt | tools $(UV)
	@echo "== setup: dependencies into .venv"
	@$(BIN)/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --python "$(PYTHON)" .venv
	@$(UV) pip sync --quiet --require-hashes requirements/dev.txt
	@touch $@

# A process that runs has the library mapped, and the installer writes into the file: it gets a copy of its own first.
.venv/.core-stamp: .venv/.deps-stamp $(CORE_SOURCES)
	@echo "== setup: core, in release mode (the first build takes some four minutes)"
	@mkdir -p target
	@$(BIN)/maturin build --release --quiet --compatibility linux --out target/wheels 2>target/maturin.log || { cat target/maturin.log; exit 1; }
	@old=python/millstream/_core.abi3.so; [ ! -f $$old ] || { cp $$old $$old.kept; mv -f $$old.kept $$old; }
	@$(UV) pip install --quiet --offline --no-deps --no-build-isolation --reinstall-package millstream --editable .
	@touch $@

.PHONY: lock
lock: | $(UV)  ## renew the locks of Python packages and crates
	@lock() { $(UV) pip compile "$$@" --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links; }; \
	{ echo "# What the package and its development need, locked with hashes. Made by \`make lock\`."; \
	  lock pyproject.toml --group dev; } > requirements/dev.txt.new; \
	{ echo "# The installer that \`make setup\` brings when the machine has none. Made by \`make lock\`."; \
	  grep -E '^uv==' requirements/dev.txt.new | cut -d' ' -f1 | lock - --no-annotate; } > requirements/uv.txt.new; \
	{ echo "# What builds the site of the documentation, locked with hashes. Made by \`make lock\`."; \
	  lock --group pyproject.toml:docs; } > requirements/docs.txt.new; \
	for name in dev uv docs; do mv requirements/$$name.txt.new requirements/$$name.txt; done
	@cargo update --quiet

# Each step of the tests prints its name; the tests themselves come last.
step = @echo "== $(1)"

.PHONY: test
test: setup kafka lint types docs rust unit  ## set up, then linters, type checks and all tests

.PHONY: lint
lint: setup  ## style of Python, and the rule of imports
	$(call step,ruff check)
	@$(BIN)/ruff check --quiet .
	$(call step,ruff format)
	@$(BIN)/ruff format --quiet --check . || { echo "Remedy: .venv/bin/ruff format ."; exit 1; }
	$(call step,import-linter)
	@said=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }

.PHONY: types
types: setup  ## mypy, Pyright, and the stub of the core against the core
	$(call step,mypy --strict)
	@$(BIN)/mypy python/millstream tests examples benchmarks docs/pictures
	$(call step,pyright)
	@$(BIN)/pyright
	$(call step,stubtest of millstream._core)
	@$(BIN)/stubtest millstream._core

.docs/.stamp: requirements/docs.txt | tools $(UV)
	@echo "== docs: the builder of the site into .docs"
	@.docs/bin/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --python "$(PYTHON)" .docs
	@VIRTUAL_ENV=$(CURDIR)/.docs $(UV) pip sync --quiet --require-hashes requirements/docs.txt
	@touch $@

# It reads the sources of the package and does not run them: neither the core nor .venv is needed. The variable silences
# an advertisement of the theme's, which is no warning of the build.
.PHONY: docs
docs: .docs/.stamp  ## build the documentation into site/; a warning is an error
	$(call step,mkdocs build --strict)
	@PATH="$(CURDIR)/.docs/bin:$$PATH" NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --quiet --strict

.PHONY: rust
# In release mode: what the build of the core has compiled is used, librdkafka above all.
rust: setup  ## style, lints and tests of the core
	$(call step,cargo fmt)
	@cargo fmt --all --check
	$(call step,cargo clippy)
	@cargo clippy --release --quiet --locked --workspace --all-targets -- -D warnings
	$(call step,cargo test)
	@cargo test --release --quiet --locked --package millstream-core

# Neighbours stay in one process for as long as there is enough for the others: they share servers and the wheel.
.PHONY: unit
unit: setup  ## the tests in Python; PYTEST_ARGS chooses among them
	$(call step,pytest)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(PYTEST_ARGS)

.PHONY: kill
kill: setup  ## kill a program RUNS times ten times, from seed SEED on, and check what it put out
	@$(BIN)/python -m tests.kill --runs $(or $(RUNS),10) --seed $(or $(SEED),0) $(KILL_ARGS)

.PHONY: kafka
kafka: .kafka/classes.jsa  ## bring the Kafka broker that tests start, where there are Java and Maven

# Without Java or Maven the tests that need a broker are left out, with a message; in CI they fail.
.kafka/libs/.stamp: tests/servers/kafka/pom.xml
	@mkdir -p .kafka/libs
	@if command -v mvn >/dev/null && command -v java >/dev/null; then \
		echo "== kafka: jars of the broker into .kafka"; \
		mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.kafka/libs; \
		touch $@; \
	else \
		echo "make: no Java or no Maven: tests with a Kafka broker will be left out."; \
		echo "  Remedy: install them (Debian, Ubuntu: apt install openjdk-17-jre-headless maven)"; \
	fi

# What the broker's start loads, in a form that the next start maps in: it halves the time.
.kafka/classes.jsa: .kafka/libs/.stamp | setup
	@[ ! -f $< ] || $(BIN)/python -m tests.servers.kafka.class_archive

SEEDS ?= 100

.PHONY: simulate
simulate: setup  ## the programs of tests/simulation under crashes; SEEDS=n for each, PROGRAM, SEED and SIMULATE_ARGS choose
	$(call step,simulation)
	@$(BIN)/python -m tests.simulation $(PROGRAM) $(SEED) --seeds $(SEEDS) $(SIMULATE_ARGS)

BENCHMARKS ?= $(patsubst benchmarks/%.py,%,$(shell grep -l '__main__' benchmarks/*.py 2>/dev/null))

.PHONY: bench
bench: setup  ## measure; BENCHMARKS="one_record tick" chooses among them
	@for benchmark in $(BENCHMARKS); do echo "== $$benchmark"; $(BIN)/python -m benchmarks.$$benchmark; done

.PHONY: demo
demo: setup  ## the main job on live text, until Ctrl-C
	@$(BIN)/millstream demo $(DEMO_ARGS)

.PHONY: wheel
wheel: setup  ## a release wheel into dist/
	@$(BIN)/maturin build --release --locked --out dist

.PHONY: clean
clean:  ## remove the environment and everything that was built
	rm -rf .venv .uv .kafka .docs target dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -f python/millstream/_core*.so
	find python tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Steps share the processors and the output; one after the other is as fast and can be read.
.NOTPARALLEL:
