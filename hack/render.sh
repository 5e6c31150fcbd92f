#!/usr/bin/env bash
# Print the manifests of the chart for the cluster that kubectl points at.
#
#   hack/render.sh [HELM OPTION...]
set -euo pipefail
cd "$(dirname "$0")/.."

for program in helm kubectl; do
  if ! command -v "${program}" >/dev/null; then
    echo "install: ${program} is not on PATH; with CLUSTER=${CLUSTER:-} it has to be installed first" >&2
    exit 1
  fi
done

# helm built from its Go module believes in an ancient Kubernetes unless it is told.
version=$(kubectl get --raw /version | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p')
helm template agentcorps helm/agentcorps --namespace agentcorps-system \
  --kube-version "${version}" --set namespace.create=true "$@"
