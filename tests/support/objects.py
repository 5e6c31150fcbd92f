"""Small good objects of each kind, for tests to vary."""

from typing import Any

from agentcorps.api.meta import API_VERSION

Json = dict[str, Any]


def pod_template(**container: Any) -> Json:
    """Return a pod template of one container; `container` changes it, a None takes a field out."""
    content = {"name": "agent", "image": "agentcorps/text-agent:0.1.0", **container}
    given = {key: value for key, value in content.items() if value is not None}
    return {"spec": {"containers": [given]}}


def agent(name: str = "solo", **spec: Any) -> Json:
    """Return an Agent; `spec` adds to or replaces fields of its spec."""
    return _object("Agent", name, {"podTemplate": pod_template(), **spec})


def pool(name: str = "readers", agent_spec: Json | None = None, **spec: Any) -> Json:
    """Return an AgentPool of no agents; `agent_spec` goes to its template's spec."""
    template = {"spec": {"podTemplate": pod_template(), **(agent_spec or {})}}
    return _object("AgentPool", name, {"replicas": 0, "template": template, **spec})


def task(name: str = "first", **spec: Any) -> Json:
    """Return a Task; `spec` adds to or replaces fields of its spec."""
    return _object("Task", name, {"pool": "readers", **spec})


def _object(kind: str, name: str, spec: Json) -> Json:
    """Return an object of a kind."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
