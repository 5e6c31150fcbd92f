#!/usr/bin/env bash
# Create or refresh .venv from the development lock, with this project installed editable.
#
# PYTHON names the interpreter (default python3). Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "venv: $*" >&2
  exit 1
}

python=${PYTHON:-python3}
command -v "${python}" >/dev/null ||
  fail "no ${python} on PATH: install Python 3.11 or newer, or set PYTHON=/path/to/python3"
"${python}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("${python}" --version) is too old: Python 3.11 or newer is needed (PYTHON=/path/to/python3)"
"${python}" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "${python} has no venv module: on Debian and Ubuntu, apt-get install python3-venv"

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  rm -rf .venv
  "${python}" -m venv .venv
fi

echo "venv: installing $(grep -c '==' requirements/dev.lock) locked packages (about a minute on the first run)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
  --requirement requirements/dev.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
  --no-build-isolation --editable .
