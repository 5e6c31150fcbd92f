#!/usr/bin/env bash
# Remove the operator: the custom resources while it still runs, then the chart with its CRDs.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$("${PYTHON:-python3}" hack/cluster env)"

for kind in tasks agentpools agents; do
  if kubectl get crd "${kind}.agentcorps.dev" >/dev/null 2>&1; then
    kubectl delete "${kind}.agentcorps.dev" --all --all-namespaces --timeout=180s
  fi
done
hack/render.sh | kubectl delete --ignore-not-found --timeout=120s --filename -
