#!/usr/bin/env bash
# Install or upgrade the operator from the chart in this checkout, and wait until it is ready.
#
#   hack/install.sh VERSION [HELM OPTION...]
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
shift
eval "$("${PYTHON:-python3}" hack/cluster env)"

# The tag stays the same while somebody works on the code; this makes the Deployment roll over.
source=$(find operator requirements Containerfile -type f -not -path '*/__pycache__/*' \
  -exec cksum {} + | sort | cksum | cut -d' ' -f1)

echo "install: operator ${version}"
hack/render.sh --set-string image.tag="${version}" \
  --set-string podAnnotations."agentcorps\.dev/source=${source}" "$@" |
  kubectl apply --server-side --force-conflicts --filename - >/dev/null
kubectl wait --for=condition=Established --timeout=60s \
  crd/agents.agentcorps.dev crd/agentpools.agentcorps.dev crd/tasks.agentcorps.dev >/dev/null
kubectl rollout status deployment/agentcorps-operator --namespace agentcorps-system --timeout=300s
