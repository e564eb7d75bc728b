# Every target is a line; what it does stands in the program that it calls. `make help` lists them.
PYTHON = .venv/bin/python
PYTEST = $(PYTHON) -m pytest
ARGS =

.PHONY: lab test test-all bench lint lock clean env help

lab: env  ## start the course in JupyterLab (ARGS="--no-browser --port 8899", see .venv/bin/pglab lab --help)
	@.venv/bin/pglab lab $(ARGS)

test: env  ## run the tests but the slow ones (ARGS="-k name")
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: env  ## run every test, the browser's too
	@$(PYTEST) $(ARGS)

bench: env  ## measure what the project promises, as ratios
	@$(PYTHON) -m bench $(ARGS)

lint: env  ## check style and types
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

lock: env  ## renew requirements.lock from pyproject.toml
	@.venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --custom-compile-command "make lock" --upgrade --output-file requirements.lock pyproject.toml

clean:  ## stop the cluster and remove what was made
	@sh tools/clean.sh

env:
	@sh tools/environment.sh

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' Makefile
