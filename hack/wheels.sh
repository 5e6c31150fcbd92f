#!/usr/bin/env bash
# Fetch the wheels that the images install from into .wheels, checked against the locks.
#
# An image build then needs no network, no registry and no certificates of the host's.
# BASE_PYTHON is the Python of the base image (default 3.11).
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob

locks=(requirements/operator.lock examples/*/requirements.lock)
stamp=.wheels/.complete-$(cat "${locks[@]}" "$0" | cksum | cut -d' ' -f1)
if [[ -e ${stamp} ]]; then
  exit 0
fi

machine=$(uname -m)
platforms=()
# The newest glibc of the base image first; pip tries no older one by itself.
for minor in {36..17}; do
  platforms+=(--platform "manylinux_2_${minor}_${machine/arm64/aarch64}")
done

rm -rf .wheels
for lock in "${locks[@]}"; do
  echo "wheels: ${lock}"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes \
    --only-binary :all: --implementation cp --python-version "${BASE_PYTHON:-3.11}" \
    "${platforms[@]}" --dest .wheels --requirement "${lock}"
done
touch "${stamp}"
