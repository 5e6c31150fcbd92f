"""The objects that the operator makes: an Agent from its pool's template, a Pod from its Agent."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.kinds import AGENT, AGENT_POOL
from agentcorps.api.meta import (
    API_VERSION,
    GROUP,
    LABEL_AGENT,
    LABEL_MANAGED_BY,
    LABEL_POOL,
    MANAGED_BY,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import AgentRecord, PoolRecord

TOKEN_AUDIENCE: Final = GROUP
"""Audience of the token that a pod shows to the gateway; the API server refuses it."""
TOKEN_SECONDS: Final = 3600
"""Lifetime of that token; the kubelet renews it in time."""
TOKEN_DIRECTORY: Final = "/var/run/secrets/agentcorps.dev"  # noqa: S105 (a path)
TOKEN_VOLUME: Final = "agentcorps-token"  # noqa: S105 (the name of a volume)
LABEL_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"

_HASH_DIGITS: Final = 10
_RESERVED_PREFIX: Final = f"{GROUP}/"


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where agents reach the gateway, and whom they trust there."""

    url: str
    """Base URL, such as ``https://agentcorps-gateway.agentcorps-system.svc:8443``."""
    ca_pem: str = field(repr=False)
    """Certificates of the authorities that may sign the gateway's, as PEM text."""


def template_hash(agent_spec: Mapping[str, Any]) -> str:
    """Return ten hex digits that tell one Agent spec from another.

    They are the first of the SHA-256 of the spec as canonical JSON (keys sorted, no spaces), so the
    order of keys does not matter. A pool's ``spec.template.spec`` and the ``spec`` of an Agent made
    from it have the same hash: the API server fills the same defaults into both.
    """
    text = json.dumps(agent_spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]


def agent_manifest(pool: PoolRecord, name: str) -> dict[str, Any]:
    """Return the Agent ``name`` of a pool.

    The Agent gets the labels and annotations of ``spec.template.metadata``; those of its pod stand
    in ``spec.template.spec.podTemplate.metadata``. Deleting the pool deletes it.
    """
    own = {LABEL_POOL: pool.key.name, LABEL_MANAGED_BY: MANAGED_BY}
    return {
        "apiVersion": API_VERSION,
        "kind": AGENT.kind,
        "metadata": {
            "name": name,
            "namespace": pool.key.namespace,
            "labels": _without_reserved(pool.template_labels) | own,
            "annotations": dict(pool.template_annotations),
            "ownerReferences": [_owner(AGENT_POOL.kind, pool.key.name, pool.uid)],
        },
        "spec": deepcopy(dict(pool.agent_spec)),
    }


def pod_for(agent: AgentRecord, gateway: GatewayAddress) -> dict[str, Any]:
    """Return the Pod of an Agent; the Agent itself is left as it is.

    The template is passed through, with four exceptions:

    * Where it is silent, the defaults of the restricted Pod Security Standard are filled in
      (https://kubernetes.io/docs/concepts/security/pod-security-standards/). What it says stands,
      and Pod Security admission judges it as it would any other pod.
    * The pod never carries a token of the API server; each container gets one for the gateway.
    * Names are reserved: labels under ``agentcorps.dev/``, the ``AGENTCORPS_…`` variables set here,
      the volume ``agentcorps-token`` and what is mounted at its place. The operator's replace the
      template's.
    * ``restartPolicy`` is Always: an agent serves until it is deleted.

    Args:
        agent: A valid Agent.
        gateway: Where its pod reaches the gateway.
    """
    template = agent.pod_template
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": agent.key.name,
            "namespace": agent.key.namespace,
            "labels": _without_reserved(metadata.get("labels") or {}) | _pod_labels(agent),
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [_owner(AGENT.kind, agent.key.name, agent.uid)],
        },
        "spec": _pod_spec(template["spec"], _environment(agent, gateway)),
    }


def _pod_labels(agent: AgentRecord) -> dict[str, str]:
    labels = {
        LABEL_AGENT: agent.key.name,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_TEMPLATE_HASH: agent.template_hash,
    }
    return labels | {LABEL_POOL: agent.pool} if agent.pool else labels


def _environment(agent: AgentRecord, gateway: GatewayAddress) -> dict[str, str]:
    return {
        "AGENTCORPS_GATEWAY_URL": gateway.url,
        "AGENTCORPS_CA": gateway.ca_pem,
        "AGENTCORPS_TOKEN_FILE": f"{TOKEN_DIRECTORY}/token",
        "AGENTCORPS_AGENT": agent.key.name,
    }


def _without_reserved(labels: Mapping[str, str]) -> dict[str, str]:
    # A stray pool label would let a foreign object count in a pool's /scale selector.
    return {key: value for key, value in labels.items() if not key.startswith(_RESERVED_PREFIX)}


def _owner(kind: str, name: str, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        # True would need the right to update finalizers of the owner, and hold up its deletion.
        "blockOwnerDeletion": False,
    }


def _pod_spec(template: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    spec = deepcopy(dict(template))
    spec["restartPolicy"] = "Always"
    spec["automountServiceAccountToken"] = False
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = False
    spec["securityContext"] = _filled(
        spec.get("securityContext"),
        {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    )
    if spec.get("initContainers"):
        spec["initContainers"] = [_secured(container) for container in spec["initContainers"]]
    spec["containers"] = [
        _connected(_secured(container), environment) for container in spec["containers"]
    ]
    volumes = [v for v in spec.get("volumes") or [] if v.get("name") != TOKEN_VOLUME]
    spec["volumes"] = [*volumes, _token_volume()]
    return spec


def _filled(given: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` with the defaults that it says nothing about; null says nothing."""
    result = dict(given or {})
    for name, value in defaults.items():
        if result.get(name) is None:
            result[name] = value
    return result


def _secured(container: dict[str, Any]) -> dict[str, Any]:
    """Return a container with restricted defaults, and without mounts in the token's place."""
    context = dict(container.get("securityContext") or {})
    context["capabilities"] = _filled(context.get("capabilities"), {"drop": ["ALL"]})
    if not _must_escalate(context):
        context = _filled(context, {"allowPrivilegeEscalation": False})
    mounts = [m for m in container.get("volumeMounts") or [] if not _takes_token_place(m)]
    secured = container | {"securityContext": context, "volumeMounts": mounts}
    if not mounts:
        del secured["volumeMounts"]
    return secured


def _must_escalate(context: Mapping[str, Any]) -> bool:
    """Tell whether the API server would refuse ``allowPrivilegeEscalation: false`` beside this."""
    added = context["capabilities"].get("add") or []
    return bool(context.get("privileged")) or "SYS_ADMIN" in added or "CAP_SYS_ADMIN" in added


def _takes_token_place(mount: Mapping[str, Any]) -> bool:
    path = str(mount.get("mountPath", "")).rstrip("/")
    inside = path == TOKEN_DIRECTORY or path.startswith(f"{TOKEN_DIRECTORY}/")
    return inside or mount.get("name") == TOKEN_VOLUME


def _connected(container: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a container that can reach the gateway.

    The variables come first: the template's own may refer to them as ``$(NAME)``.
    """
    theirs = [v for v in container.get("env") or [] if v.get("name") not in environment]
    ours = [{"name": name, "value": value} for name, value in environment.items()]
    mount = {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True}
    return container | {
        "env": [*ours, *theirs],
        "volumeMounts": [*container.get("volumeMounts", []), mount],
    }


def _token_volume() -> dict[str, Any]:
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    return {"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
