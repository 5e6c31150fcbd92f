"""Pools of the test agent in a namespace of a real cluster, and what happens to their Tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import objects
from support.poll import until

if TYPE_CHECKING:
    from support.kubectl import Kubectl

SUPPORT = Path(__file__).parent
TERMINAL = {"Succeeded", "Failed", "Cancelled", "TimedOut"}
READY_SECONDS = 120
TASK_SECONDS = 120

Json = dict[str, Any]


def pod_template(image: str) -> Json:
    """Return the pod of a test agent: little to ask for, quick to end."""
    return {
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {
                    "name": "agent",
                    "image": image,
                    "command": ["python3", "/agent/app.py"],
                    "env": [{"name": "AGENTCORPS_GRACE_SECONDS", "value": "1"}],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "48Mi"},
                        "limits": {"memory": "128Mi"},
                    },
                    "volumeMounts": [{"name": "program", "mountPath": "/agent"}],
                }
            ],
            "volumes": [{"name": "program", "configMap": {"name": "crew-agent"}}],
        }
    }


@dataclass(frozen=True, slots=True)
class Crew:
    """A namespace with test agents in it."""

    kubectl: Kubectl
    image: str

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        assert self.kubectl.namespace is not None
        return self.kubectl.namespace

    def prepare(self) -> None:
        """Put the agent's program where pods find it."""
        program = (SUPPORT / "crew_agent.py").read_text(encoding="utf-8")
        self.kubectl.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "crew-agent"},
                "data": {"app.py": program},
            }
        )

    def agent_spec(self, **spec: Any) -> Json:
        """Return the spec of a test agent."""
        health = {"heartbeatSeconds": 2, "failureThreshold": 3}
        template = pod_template(self.image)
        return {
            "capabilities": ["crew", "deaf"],
            "health": health,
            "podTemplate": template,
            **spec,
        }

    def pool(self, name: str, replicas: int, **agent_spec: Any) -> None:
        """Create a pool and wait until all of its agents are ready."""
        spec = self.agent_spec(**agent_spec)
        self.kubectl.create(objects.pool(name, spec, replicas=replicas, drainTimeoutSeconds=120))
        self.ready(name, replicas)

    def ready(self, pool: str, replicas: int) -> Json:
        """Wait until a pool has so many agents, all ready, and none besides; returns its status."""

        def settled() -> Json | None:
            found = self.kubectl.get(f"agentpool/{pool}")
            status: Json = found["status"]
            counts = (status.get("replicas"), status.get("readyReplicas"))
            current = status["observedGeneration"] == found["metadata"]["generation"]
            return status if current and counts == (replicas, replicas) else None

        return until(settled, f"pool {pool} of {replicas}", seconds=READY_SECONDS)

    def agents(self, pool: str) -> dict[str, Json]:
        """Return the Agents of a pool by name."""
        found = self.kubectl.get("agents", "-l", f"agentcorps.dev/pool={pool}")["items"]
        return {str(agent["metadata"]["name"]): agent for agent in found}

    def submit(self, name: str, given: Json, **spec: Any) -> Json:
        """Create a Task for pool `crew` (unless told otherwise) and return it."""
        values: Json = {"pool": "crew", "requires": ["crew"], "input": given, **spec}
        return self.kubectl.create(objects.task(name, **values))

    def task(self, name: str) -> Json:
        """Return a Task."""
        return self.kubectl.get(f"task/{name}")

    def started(self, name: str, attempt: int = 1) -> Json:
        """Wait until the log of the agent's pod says that it works on a Task; returns the Task."""

        def told() -> Json | None:
            task = self.task(name)
            status = task["status"]
            if status["phase"] != "Running" or status["attempt"] != attempt:
                return None
            begun = self.starts_of(status["agentName"])
            return task if (task["metadata"]["uid"], attempt) in begun else None

        return until(told, f"attempt {attempt} of {name} at work", seconds=TASK_SECONDS)

    def starts_of(self, agent: str) -> list[tuple[str, int]]:
        """Return (uid, attempt) of each attempt that an agent's log says it started, in order."""
        return _starts(self.kubectl.run("logs", f"pod/{agent}").stdout)

    def ended(self, name: str) -> Json:
        """Wait until a Task is in a terminal phase, and return it."""

        def over() -> Json | None:
            task = self.task(name)
            return task if task["status"]["phase"] in TERMINAL else None

        return until(over, f"end of task {name}", seconds=TASK_SECONDS)

    def release(self, task: Json) -> None:
        """Let a held Task go on."""
        name, pod = task["metadata"]["name"], task["status"]["agentName"]
        done = self.kubectl.run("exec", pod, "--", "touch", f"/tmp/{name}")  # noqa: S108 -- in a pod
        assert done.ok, done.stderr


def _starts(log: str) -> list[tuple[str, int]]:
    found = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("event") == "task started":
            found.append((entry["uid"], entry["attempt"]))
    return found
