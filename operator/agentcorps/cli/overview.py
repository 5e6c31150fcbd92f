"""`agentcorps status`: operator, pools, agents and Tasks, counted from the objects."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.kinds import AGENT, AGENT_POOL, TASK
from agentcorps.api.meta import LABEL_POOL, AgentPhase, TaskPhase
from agentcorps.cli import quotas
from agentcorps.cli.errors import CliError, NotFoundError
from agentcorps.cli.model import status_of
from agentcorps.cli.output import age

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object

OPERATOR_NAMESPACE: Final = "agentcorps-system"
LEASE: Final = "agentcorps-operator"
_WORKING: Final = frozenset({AgentPhase.IDLE, AgentPhase.BUSY})


def gather(cluster: Cluster, namespace: str | None, operator_namespace: str) -> Object:
    """Read everything and return the report; None is all namespaces."""
    pools = cluster.list_all(AGENT_POOL, namespace)
    agents = cluster.list_all(AGENT, namespace)
    # Page by page, so that ten thousand inputs and results are not held at the same time.
    tasks = [_TaskFacts(item) for page in cluster.pages(TASK, namespace) for item in page["items"]]
    return report(pools, agents, tasks) | {
        "quotas": quotas.gather(cluster, namespace, pools),
        "operator": operator(cluster, operator_namespace),
    }


class _TaskFacts:
    """What the report needs of a Task."""

    __slots__ = ("agent", "phase", "pool")

    def __init__(self, task: Object) -> None:
        status, namespace = status_of(task), task["metadata"]["namespace"]
        self.phase = str(status.get("phase", TaskPhase.QUEUED))
        self.pool = (namespace, task["spec"].get("pool", ""))
        self.agent = (namespace, status.get("agentName", ""))


def report(pools: Iterable[Object], agents: Iterable[Object], tasks: Iterable[Any]) -> Object:
    """Return the numbers.

    Busy is counted from the Running Tasks: the Agents' own status follows only after seconds.
    """
    phases: Counter[str] = Counter()
    queued: Counter[tuple[str, str]] = Counter()
    running: Counter[tuple[str, str]] = Counter()
    busy: set[tuple[str, str]] = set()
    for task in tasks:
        phases[task.phase] += 1
        if task.phase == TaskPhase.QUEUED:
            queued[task.pool] += 1
        elif task.phase == TaskPhase.RUNNING:
            running[task.pool] += 1
            busy.add(task.agent)
    standing: Counter[str] = Counter()
    by_pool: Counter[tuple[str, str, str]] = Counter()
    for agent in agents:
        metadata, phase = agent["metadata"], live_phase(agent, busy)
        standing[phase] += 1
        by_pool[metadata["namespace"], metadata.get("labels", {}).get(LABEL_POOL, ""), phase] += 1
    return {
        "pools": [_pool(pool, by_pool, queued, running) for pool in pools],
        "agents": dict(sorted(standing.items())),
        "tasks": {phase.value: phases[phase] for phase in TaskPhase if phases[phase]},
    }


def live_phase(agent: Object, busy: set[tuple[str, str]]) -> str:
    """Return an Agent's phase, Idle and Busy told apart by the Tasks bound to it."""
    metadata = agent["metadata"]
    phase = str(status_of(agent).get("phase", AgentPhase.PENDING))
    if phase not in _WORKING:
        return phase
    key = (metadata["namespace"], metadata["name"])
    return AgentPhase.BUSY.value if key in busy else AgentPhase.IDLE.value


def _pool(
    pool: Object,
    agents: Counter[tuple[str, str, str]],
    queued: Counter[tuple[str, str]],
    running: Counter[tuple[str, str]],
) -> Object:
    key = (pool["metadata"]["namespace"], pool["metadata"]["name"])
    idle, busy = agents[*key, AgentPhase.IDLE.value], agents[*key, AgentPhase.BUSY.value]
    return {
        "namespace": key[0],
        "name": key[1],
        "target": _target(pool),
        "granted": status_of(pool).get("grantedReplicas"),
        "ready": idle + busy,
        "idle": idle,
        "busy": busy,
        "queued": queued[key],
        "running": running[key],
        "problem": _problem(pool),
    }


def _target(pool: Object) -> int:
    """Return how many agents a pool is to have: its autoscaler's number where it has one."""
    replicas: int = pool["spec"].get("replicas", 1)
    if "scaling" not in pool["spec"]:
        return replicas
    return int(status_of(pool).get("targetReplicas", replicas))


def _problem(pool: Object) -> str:
    """Return why a pool does not get on, from its Stalled condition."""
    for condition in status_of(pool).get("conditions", []):
        if condition.get("type") == "Stalled" and condition.get("status") == "True":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def operator(cluster: Cluster, namespace: str) -> Object:
    """Return who leads, from the operator's Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"
    try:
        spec = cluster.read(path).get("spec", {})
    except NotFoundError:
        return {"state": "absent", "message": f"no Lease {LEASE} in namespace {namespace}"}
    except CliError as error:
        return {"state": "unknown", "message": str(error)}
    return leader(spec, datetime.now(UTC))


def leader(spec: Object, now: datetime) -> Object:
    """Return what a Lease's spec says at a time."""
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return {"state": "none", "message": "no operator leads: is one running?"}
    valid = timedelta(seconds=spec.get("leaseDurationSeconds", 0))
    state = "leading" if now - datetime.fromisoformat(renewed) <= valid else "expired"
    message = f"{holder} renewed its lead {age(renewed, now)} ago"
    if state == "expired":
        message += ": it no longer runs, or cannot reach the API server"
    return {"state": state, "leader": holder, "renewTime": renewed, "message": message}
