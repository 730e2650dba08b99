#!/usr/bin/env bash
# Install fmgrid for development in .venv, then check everything: lint, types, tests.
# PYTHON chooses the interpreter (3.11 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --editable '.[dev]'
.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/mypy --platform win32
.venv/bin/mypy --platform darwin
.venv/bin/mypy    # the last, because a test uses what it keeps
.venv/bin/pytest --numprocesses 3 --dist loadfile "$@"
