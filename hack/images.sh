#!/usr/bin/env bash
# Build the project's images and load them into the cluster that CLUSTER selects.
#
#   hack/images.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
cluster=("${PYTHON:-python3}" hack/cluster)

build() { # IMAGE [OPTION...]; the archive's path, which it prints, is of no interest here
  "${cluster[@]}" build-image "$@" >/dev/null
}

hack/wheels.sh
build "agentcorps/agent:${version}" --target agent
build "agentcorps/operator:${version}" --target operator
build "agentcorps/text-agent:${version}" --file examples/text-agent/Containerfile \
  --build-arg "AGENT_IMAGE=agentcorps/agent:${version}"
"${cluster[@]}" load "agentcorps/operator:${version}" "agentcorps/agent:${version}" \
  "agentcorps/text-agent:${version}"
