#!/usr/bin/env bash
# Regenerate everything that is generated; fail if that changes or adds a file.
set -euo pipefail
cd "$(dirname "$0")/.."

generated=(crds docs examples helm requirements)

snapshot() {
  # Contents, not commits: work in progress passes as long as the generated files fit it.
  find "${generated[@]}" -type f -not -path '*/__pycache__/*' -exec cksum {} + | sort -k 3
}

before=$(snapshot)
.venv/bin/python hack/generate
hack/lock.sh
if ! changed=$(diff <(echo "${before}") <(snapshot)); then
  echo "verify: these files were out of date and have been regenerated; commit them:" >&2
  sed -n 's/^> [0-9]* [0-9]* /  /p' <<<"${changed}" >&2
  exit 1
fi
echo "verify: generated files are up to date"
