#!/usr/bin/env bash
# Compile the dependency locks: hashes, every platform, no host names.
#
#   hack/lock.sh             keep the versions already locked wherever they still satisfy
#   hack/lock.sh --upgrade   take the newest versions that the requirements allow
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob

options=("$@")

compile() { # LOCK SOURCE... [OPTION...]
  local lock=$1
  shift
  echo "lock: ${lock}"
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command "make lock" --output-file "${lock}" "${options[@]}" "$@"
}

# Each lock constrains the next, so that tests run on the very versions that the images carry.
compile requirements/agent.lock pyproject.toml
compile requirements/operator.lock pyproject.toml --extra operator \
  --constraint requirements/agent.lock

examples=(examples/*/requirements.in)
for source in "${examples[@]}"; do
  compile "${source%.in}.lock" "${source}" --constraint requirements/operator.lock
done

compile requirements/dev.lock pyproject.toml "${examples[@]}" --extra operator --extra cli \
  --group dev --constraint requirements/operator.lock
