# Everything runs from .venv, which is made from the hash-locked requirements.txt.
# A machine needs Python 3.11 (with its venv module), make and git; no Java, no database, no AWS account.

PYTHON  ?= python3.11
VENV    := .venv
BIN     := $(VENV)/bin
SOURCE  ?=
ROWS    ?=
LIVY    ?=
REPORT  ?=

# Tests that need the processor alone run in two processes side by side, one about as long as the other. After them come
# those that start processes of the sandbox: runs in Airflow wait half of their time, so two processes make runs (AIRFLOW,
# and those with Celery workers), and the others take what is left of the machine meanwhile, and give way (nice), for the
# deadlines of runs are those of a machine that has time for them.
# Where there is no RabbitMQ, the tests of Celery say so and are left out; `make test-celery` fails there.
# Coverage leaves out MODELS and tests/faults, which go through every moment of a run, over the same lines each time, and
# what starts processes, which it does not see.
MODELS  := tests/unit/airflow_lib/lifecycle/test_register_model.py tests/unit/airflow_lib/steps/test_human_actions.py
AIRFLOW := tests/sandbox/test_add_a_pipeline.py tests/sandbox/test_cli_endings.py tests/sandbox/test_cli_up.py \
    tests/sandbox/test_immigration_runs.py tests/sandbox/test_kills.py tests/sandbox/test_people.py
PYTEST := -m pytest --durations=10

# Product code is imported as Airflow imports it: from plugins/ and from the root.
export PYTHONPATH := $(CURDIR)/plugins:$(CURDIR)

.PHONY: help run up down test test-library test-spark test-airflow test-workers test-sandbox test-celery proof proof-mutants chaos lint bench contract lock clean

help:            ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.installed     ## Run the immigration pipeline on this machine (SOURCE=dir for real data)
	$(BIN)/python -m sandbox run immigration $(if $(SOURCE),--source $(SOURCE)) $(if $(ROWS),--rows $(ROWS)) $(if $(REPORT),--report $(REPORT))

up: $(VENV)/.installed      ## Start the whole sandbox with Airflow's UI
	$(BIN)/python -m sandbox up

down: $(VENV)/.installed    ## Stop it
	$(BIN)/python -m sandbox down

test: $(VENV)/.installed lint   ## Lint, types, every test, and the branches that no test takes
	rm -f .coverage .coverage.*
	$(MAKE) --no-print-directory --output-sync=target -j2 test-library test-spark
	$(BIN)/coverage combine -q
	$(BIN)/coverage report
	$(MAKE) --no-print-directory --output-sync=target -j3 test-airflow test-workers test-sandbox

test-library:
	$(BIN)/coverage run -p $(PYTEST) tests/unit $(addprefix --ignore=,$(MODELS))

test-spark:
	$(BIN)/coverage run -p $(PYTEST) tests/sparkjobs tests/dags tests/sql
	$(BIN)/python $(PYTEST) tests/faults $(MODELS)

test-airflow:
	$(BIN)/python $(PYTEST) $(AIRFLOW)

test-workers:
	$(BIN)/python $(PYTEST) tests/celery

test-sandbox:
	nice -n 10 $(BIN)/python $(PYTEST) tests/contract tests/sandbox $(addprefix --ignore=,$(AIRFLOW))

chaos: $(VENV)/.installed   ## Kill every process in every phase of real runs
	$(BIN)/python -m pytest -m chaos tests/sandbox tests/celery

test-celery: $(VENV)/.installed ## Everything with Celery workers, with the faults that take long (needs RabbitMQ)
	@test -x /usr/lib/rabbitmq/bin/rabbitmq-server || { echo "Install RabbitMQ: apt-get install rabbitmq-server"; exit 1; }
	$(BIN)/python $(PYTEST) -m "chaos or not chaos" tests/celery

lint: $(VENV)/.installed    ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

proof: $(VENV)/.installed   ## Each call of a run x each fault: nothing is left, touched or lost
	$(BIN)/python -m tests.proof

proof-mutants: $(VENV)/.installed   ## That the proof catches every safeguard that is taken away
	$(BIN)/python -m tests.proof.mutants

bench: $(VENV)/.installed   ## Measure speed and memory
	$(BIN)/python -m bench

contract: $(VENV)/.installed    ## The Livy contract suite against a real Livy: make contract LIVY=https://...
	@test -n "$(LIVY)" || { echo "Name the Livy to ask: make contract LIVY=https://HOST:8998 (or http)"; exit 1; }
	MAYFLY_LIVY_URL=$(LIVY) $(BIN)/python -m pytest tests/contract/test_livy_contract.py

lock: $(VENV)/.installed    ## Compile requirements.in to requirements.txt
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-header \
	    --no-emit-find-links --no-emit-index-url requirements.in -o requirements.txt

clean:           ## Remove what runs left in the checkout
	rm -rf .sandbox .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.*

# uv first, by pip and its own hash from the lock; then everything by uv.
$(VENV)/.installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Mayfly needs $(PYTHON): apt-get install python3.11 python3.11-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3.11-venv"; exit 1; }
	awk '/^uv==/{p=1;print;next} /^[^ ]/{p=0} p' requirements.txt > $(VENV)/uv.txt
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync -q --compile-bytecode requirements.txt
	@touch $@
