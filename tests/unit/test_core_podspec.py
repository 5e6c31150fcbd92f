"""What the operator makes of templates: pods that any namespace admits, agents of a pool."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.validation import parse_agent
from agentcorps.core.podspec import (
    TOKEN_DIRECTORY,
    GatewayAddress,
    agent_manifest,
    pod_for,
    template_hash,
)
from agentcorps.core.wire import pod_record
from support.fleet import AGENT_SPEC, Fleet

GATEWAY = GatewayAddress("https://gateway.example.svc:8443", "-----BEGIN CERTIFICATE-----\n")
ENVIRONMENT = {
    "AGENTCORPS_GATEWAY_URL": GATEWAY.url,
    "AGENTCORPS_CA": GATEWAY.ca_pem,
    "AGENTCORPS_TOKEN_FILE": "/var/run/secrets/agentcorps.dev/token",
    "AGENTCORPS_AGENT": "crew-0",
}


def _pod(template: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the pod of an Agent with this template."""
    return pod_for(Fleet().agent(pod_template=template, **fields), GATEWAY)


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a pod."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _restricted_violations(pod: dict[str, Any]) -> list[str]:
    """Return what the restricted Pod Security Standard forbids about a pod."""
    spec = pod["spec"]
    outer = spec.get("securityContext") or {}
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"volume {v['name']}" for v in spec.get("volumes", []) if "hostPath" in v]
    for container in _containers(pod):
        inner = container.get("securityContext") or {}
        both = outer | {name: value for name, value in inner.items() if value is not None}
        capabilities = inner.get("capabilities") or {}
        rules = {
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser") != 0,
            "seccompProfile": (both.get("seccompProfile") or {}).get("type")
            in {"RuntimeDefault", "Localhost"},
            "allowPrivilegeEscalation": inner.get("allowPrivilegeEscalation") is False,
            "privileged": not inner.get("privileged"),
            "drop": "ALL" in (capabilities.get("drop") or []),
            "add": set(capabilities.get("add") or []) <= {"NET_BIND_SERVICE"},
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


def _maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings that have any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


_profiles = st.sampled_from(
    [None, {"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "a"}]
)
_shared = {
    "runAsNonRoot": st.sampled_from([None, True]),
    "runAsUser": st.integers(1, 70000),
    "seccompProfile": _profiles,
}
_contexts = _maybe(
    **_shared,
    allowPrivilegeEscalation=st.sampled_from([None, False]),
    readOnlyRootFilesystem=st.booleans(),
    capabilities=st.one_of(
        st.none(),
        _maybe(drop=st.sampled_from([None, ["ALL"]]), add=st.just(["NET_BIND_SERVICE"])),
    ),
)
_env = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["HOME", *ENVIRONMENT]), "value": st.text(max_size=3)}
    ),
    max_size=4,
)
_mounts = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["data", "agentcorps-token"]),
            "mountPath": st.sampled_from(["/data", f"{TOKEN_DIRECTORY}/", f"{TOKEN_DIRECTORY}/x"]),
        }
    ),
    max_size=3,
)
_container = st.builds(
    lambda name, rest: {"name": name, "image": "agent:1", **rest},
    st.sampled_from(["agent", "helper"]),
    _maybe(securityContext=st.one_of(st.none(), _contexts), env=_env, volumeMounts=_mounts),
)
_labels = st.dictionaries(
    st.sampled_from(["team", "agentcorps.dev/pool", "app.kubernetes.io/managed-by"]),
    st.sampled_from(["a", "b"]),
)
_templates = st.builds(
    lambda containers, spec, top: {**top, "spec": {"containers": containers, **spec}},
    st.lists(_container, min_size=1, max_size=3),
    _maybe(
        initContainers=st.lists(_container, max_size=2),
        securityContext=st.one_of(st.none(), _maybe(**_shared)),
        volumes=st.lists(
            st.sampled_from(
                [{"name": "data", "emptyDir": {}}, {"name": "agentcorps-token", "emptyDir": {}}]
            ),
            max_size=2,
        ),
        restartPolicy=st.sampled_from(["Always", "Never"]),
        automountServiceAccountToken=st.booleans(),
        enableServiceLinks=st.sampled_from([None, True, False]),
    ),
    _maybe(metadata=_maybe(labels=_labels, annotations=_labels)),
)


@given(_templates)
def test_silent_templates_become_restricted_pods(template: dict[str, Any]) -> None:
    """A template that says nothing forbidden gives a pod that `restricted` namespaces admit."""
    assert _restricted_violations(_pod(template)) == []


@given(_templates)
def test_templates_are_not_changed(template: dict[str, Any]) -> None:
    """Making a pod leaves the template as it is, and gives the same pod each time."""
    before = deepcopy(template)
    agent = Fleet().agent(pod_template=template)
    first = pod_for(agent, GATEWAY)
    first["spec"]["containers"][0]["env"].clear()
    assert template == before
    assert pod_for(agent, GATEWAY) == pod_for(agent, GATEWAY)


def _written(given_context: dict[str, Any] | None) -> dict[str, Any]:
    """Return the plain settings that a security context says something about."""
    return {k: v for k, v in (given_context or {}).items() if v is not None and k != "capabilities"}


@given(_templates)
def test_what_the_template_says_stands(template: dict[str, Any]) -> None:
    """Every security setting that the template wrote is in the pod unchanged."""
    spec, pod = template["spec"], _pod(template)
    pairs = [(spec.get("securityContext"), pod["spec"]["securityContext"])]
    theirs = [*spec.get("initContainers", []), *spec["containers"]]
    pairs += [
        (wrote.get("securityContext"), got["securityContext"])
        for wrote, got in zip(theirs, _containers(pod), strict=True)
    ]
    for wrote, got in pairs:
        assert _written(wrote).items() <= got.items()


@given(_templates)
def test_every_container_reaches_the_gateway(template: dict[str, Any]) -> None:
    """Each container, but no init container, has our variables and the token exactly once."""
    spec = _pod(template)["spec"]
    for container in spec["containers"]:
        values = [(e["name"], e["value"]) for e in container["env"] if e["name"] in ENVIRONMENT]
        assert values == list(ENVIRONMENT.items())
        places = [m for m in container["volumeMounts"] if m["mountPath"].startswith("/var/run/")]
        token = {"name": "agentcorps-token", "mountPath": TOKEN_DIRECTORY, "readOnly": True}
        assert places == [token]
    mounted = [m for c in spec.get("initContainers", []) for m in c.get("volumeMounts", [])]
    assert all(m["name"] == "data" for m in mounted)
    assert [v for v in spec["volumes"] if v["name"] == "agentcorps-token"] == [
        {
            "name": "agentcorps-token",
            "projected": {
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": "agentcorps.dev",
                            "expirationSeconds": 3600,
                            "path": "token",
                        }
                    }
                ]
            },
        }
    ]


@given(_templates)
def test_pods_never_carry_an_api_token(template: dict[str, Any]) -> None:
    """The API server's token is off and the pod restarts, whatever the template says."""
    spec = _pod(template)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Always"
    wrote = template["spec"].get("enableServiceLinks")
    assert spec["enableServiceLinks"] is (False if wrote is None else wrote)


def test_privileged_templates_are_left_to_admission() -> None:
    """A privileged container stays so, without the default that the API server refuses there."""
    context = {"privileged": True, "runAsUser": 0}
    container = {"name": "agent", "image": "agent:1", "securityContext": context}
    pod = _pod({"spec": {"hostNetwork": True, "containers": [container]}})
    made = pod["spec"]["containers"][0]["securityContext"]
    assert made["privileged"] is True
    assert "allowPrivilegeEscalation" not in made
    assert {"hostNetwork", "agent: privileged", "agent: runAsUser"} <= set(
        _restricted_violations(pod)
    )


def test_pod_is_named_and_owned_by_its_agent() -> None:
    """A pod bears its Agent's name and namespace, and goes when the Agent goes."""
    agent = Fleet().agent("crew-3")
    metadata = pod_for(agent, GATEWAY)["metadata"]
    assert (metadata["namespace"], metadata["name"]) == agent.key
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "agentcorps.dev/v1alpha1",
            "kind": "Agent",
            "name": "crew-3",
            "uid": agent.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


@pytest.mark.parametrize("pool", ["crew", ""])
def test_reserved_labels_are_ours(pool: str) -> None:
    """Labels under agentcorps.dev/ say what is true; the template's own other labels stay."""
    labels = {
        "team": "a",
        "agentcorps.dev/pool": "other",
        "agentcorps.dev/x": "y",
        "app.kubernetes.io/managed-by": "somebody",
    }
    template = {"metadata": {"labels": labels}, "spec": AGENT_SPEC["podTemplate"]["spec"]}
    agent = Fleet().agent("crew-0", pool=pool, pod_template=template)
    assert pod_for(agent, GATEWAY)["metadata"]["labels"] == {
        "team": "a",
        "agentcorps.dev/agent": "crew-0",
        "agentcorps.dev/template-hash": agent.template_hash,
        "app.kubernetes.io/managed-by": "agentcorps",
        **({"agentcorps.dev/pool": "crew"} if pool else {}),
    }


def test_the_operator_knows_its_own_pod_again() -> None:
    """What the API server makes of the manifest reads as a pod of that Agent and that spec."""
    agent = Fleet().agent("crew-3")
    manifest = pod_for(agent, GATEWAY)
    manifest["metadata"] |= {"uid": "pod-uid", "resourceVersion": "7"}
    record = pod_record(manifest)
    assert (record.key, record.agent_name, record.owner_uid, record.template_hash) == (
        agent.key,
        "crew-3",
        agent.uid,
        agent.template_hash,
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), _json, min_size=1))
def test_hash_follows_content_not_order(spec: dict[str, Any]) -> None:
    """The hash ignores the order of keys and sees every change."""
    digest = template_hash(spec)
    assert len(digest) == 10
    assert template_hash(dict(reversed(spec.items()))) == digest
    assert template_hash({**spec, "another key": 1}) != digest


def test_agents_follow_their_pool() -> None:
    """An Agent made by a pool is valid, the pool's own, and has the hash of its template."""
    pool = Fleet().pool(
        template_labels={"team": "a", "agentcorps.dev/pool": "other"},
        template_annotations={"note": "b"},
    )
    manifest = agent_manifest(pool, "crew-7")
    metadata = parse_agent(manifest).metadata
    assert (metadata.namespace, metadata.name) == ("team", "crew-7")
    assert metadata.controller_uid == pool.uid
    assert metadata.labels == {
        "team": "a",
        "agentcorps.dev/pool": "crew",
        "app.kubernetes.io/managed-by": "agentcorps",
    }
    assert metadata.annotations == {"note": "b"}
    assert template_hash(manifest["spec"]) == pool.template_hash


def test_agents_do_not_share_their_pools_template() -> None:
    """Changing one manifest does not change the pool or the next manifest."""
    pool = Fleet().pool()
    agent_manifest(pool, "crew-0")["spec"]["podTemplate"]["spec"]["containers"].clear()
    assert agent_manifest(pool, "crew-1")["spec"] == AGENT_SPEC
