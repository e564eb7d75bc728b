#!/bin/sh
# Stops the cluster and removes what make, pglab and the tests made, and says so. Notebooks and committed files stay.
set -eu
cd "$(dirname "$0")/.."
if [ -f .venv/.ready ]; then
  .venv/bin/python -m pglab.clean
elif [ -d "${PGLAB_HOME:-/nonexistent}" ]; then
  echo "kept $PGLAB_HOME: without .venv there is nothing to stop its cluster with (make env, then make clean)"
fi
for path in .venv .cache .mypy_cache .pytest_cache .ruff_cache dist screenshots; do
  [ -e "$path" ] || continue
  echo "removed $path ($(du -sm "$path" | cut -f 1) MB)"
  rm -rf "$path"
done
find . -name __pycache__ -type d -prune -exec rm -rf {} +
find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
