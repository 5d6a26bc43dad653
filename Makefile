# `make` alone explains itself. Needs only Python 3.11+, git and make; everything else is fetched
# into .venv/ and node_modules/. PORT, DATABASE_URL and EMERGE_ENV are read from the environment.

PY := .venv/bin/python
PREPARE := @tools/python -m tools.prepare

# What Python compiled is kept, even where a machine asks it not to: each of our many processes
# begins a second sooner.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help run worker reset-demo test check lint format prove bench screenshots \
	translations requirements clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run:  ## Start the web pages and the worker; Ctrl-C stops both
	$(PREPARE) run
	@exec .venv/bin/flask --app wsgi up

worker:  ## Start one more worker, beside a web server that runs elsewhere
	$(PREPARE) run
	@exec .venv/bin/flask --app wsgi worker

reset-demo:  ## Throw the demo's data away and make it anew
	$(PREPARE) run
	@.venv/bin/flask --app wsgi reset-demo

test:  ## The whole suite, on SQLite and PostgreSQL and in a browser (ARGS="-k words" for a part)
	$(PREPARE) test
	@$(PY) -m tools.suite $(ARGS)

check: lint  ## Everything that needs no browser and under a minute: style, types, imports, house
	@$(PY) -m pytest -q tests/house

lint:  ## Style, types and import contracts only
	$(PREPARE) test
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --check .; echo "make format puts it right"; exit 1; }
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format:  ## Put style right where that can be done by machine
	$(PREPARE) test
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

prove:  ## The promises at full size, with seeds and negative controls, into docs/proofs.md (an hour)
	$(PREPARE) test
	@$(PY) -m tests.prove $(ARGS)

bench:  ## Measure, and print the figures
	$(PREPARE) test
	@$(PY) -m benchmarks $(ARGS)

screenshots:  ## Take the pictures the documents show
	$(PREPARE) test
	@$(PY) -m tests.screenshots $(ARGS)

translations:  ## Collect the words to translate and compile what is translated
	$(PREPARE) test
	@$(PY) -m tools.translations

requirements:  ## Pin and hash the packages again (UPGRADE=1: take newer ones)
	@tools/python -m tools.lock $(if $(UPGRADE),--upgrade)

clean:  ## Remove what the other commands made, except the database in instance/
	rm -rf .venv node_modules scheduler/web/static/vendor .cache
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
