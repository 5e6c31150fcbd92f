"""`agentcorps pool why`: why a pool has the number of agents that it has."""

from typing import Annotated

import typer

from agentcorps.api.kinds import AGENT_POOL
from agentcorps.api.meta import ConditionType
from agentcorps.api.scaling import LimitedBy
from agentcorps.cli import overview
from agentcorps.cli.connection import connect
from agentcorps.cli.model import Object, status_of
from agentcorps.cli.options import Connection, OperatorNamespace, Printing, command
from agentcorps.cli.output import (
    Column,
    bare_name,
    check_answer_style,
    emit,
    print_answer,
    print_table,
)

DEMANDS = (
    Column("POLICY", lambda row: row["policy"]),
    Column("TYPE", lambda row: row["reason"]),
    Column("ASKS FOR", lambda row: row["replicas"]),
    Column("BECAUSE", lambda row: row.get("message", "")),
)
DECISIONS = (
    Column("TIME", lambda row: row["time"]),
    Column("FROM", lambda row: row["previousReplicas"]),
    Column("TO", lambda row: row["targetReplicas"]),
    Column("BECAUSE", lambda row: row.get("message", "") or row["reason"]),
)
_LIMITS = {
    LimitedBy.MAX_REPLICAS: "scaling.maxReplicas",
    LimitedBy.BEHAVIOR: "scaling.behavior.scaleUp, for now",
    LimitedBy.QUOTA: "the namespace's ResourceQuota",
    LimitedBy.CAPACITY: "the cluster's capacity: pods wait for a node; see the condition Stalled",
    LimitedBy.STARTUP: "its own agents: none starts, so no more are made",
    LimitedBy.PAUSED: "a pause: see the fields of spec.scaling that begin with paused",
}


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "why", epilog="  agentcorps pool why summarizers")(why)


def why(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the AgentPool.")],
    *,
    connection: Connection,
    operator_namespace: OperatorNamespace = overview.OPERATOR_NAMESPACE,
    printing: Printing,
) -> None:
    """Say why a pool has its number of agents: what asked for it, what limits it, what was before.

    It is what the operator decided, as it stands in the pool's status.
    """
    check_answer_style(printing.output)
    with connect(connection) as cluster:
        answer = explain(cluster.get(AGENT_POOL, bare_name(name)))
        answer["operator"] = overview.operator(cluster, operator_namespace)
    color = not connection.no_color
    print_answer(answer, printing.output, lambda: show(answer, color=color))


def explain(pool: Object) -> Object:
    """Return what the status of a pool tells of its number of agents."""
    status, metadata = status_of(pool), pool["metadata"]
    scaling = pool["spec"].get("scaling")
    active = _condition(status, ConditionType.SCALING_ACTIVE)
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "target": status.get("targetReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "busy": status.get("busyReplicas", 0),
        "queued": status.get("queuedTasks", 0),
        "scales": "itself" if scaling else "by spec.replicas",
        "limitedBy": status.get("limitedBy", LimitedBy.NONE.value),
        "granted": status.get("grantedReplicas"),
        "active": active,
        "quota": _condition(status, ConditionType.QUOTA_LIMITED),
        "stalled": _condition(status, ConditionType.STALLED),
        "reconciling": _condition(status, ConditionType.RECONCILING),
        "demands": status.get("demands", []),
        "decisions": status.get("decisions", []),
        "behindGeneration": status.get("observedGeneration", -1) < metadata["generation"],
    }


def _condition(status: Object, kind: ConditionType) -> Object:
    """Return what a condition says; nothing where there is none."""
    found = (one for one in status.get("conditions", []) if one.get("type") == kind)
    told: Object = next(found, {})
    return {key: told[key] for key in ("status", "reason", "message") if key in told}


def show(answer: Object, *, color: bool) -> None:
    """Print the answer for people."""
    emit(
        f"{answer['name']} is to have {answer['target']} agents: {answer['ready']} ready,"
        f" {answer['busy']} of them busy; {answer['queued']} queued Tasks"
    )
    _show_limits(answer)
    if answer["scales"] == "itself":
        _show_scaling(answer, color=color)
    else:
        emit("it does not scale itself (no spec.scaling): the number is that of spec.replicas")
    if answer["behindGeneration"]:
        emit("the operator has not seen the latest change of the pool yet")
    operator = answer["operator"]
    if operator["state"] != "leading":
        emit(f"operator: {operator['state']}: {operator['message']}")


def _show_limits(answer: Object) -> None:
    limit = _LIMITS.get(answer["limitedBy"])
    if limit is not None:
        emit(f"limited by: {limit}")
    for name in ("quota", "stalled", "reconciling"):
        told = answer[name]
        repeated = name == "stalled" and told.get("reason") == ConditionType.QUOTA_LIMITED
        if told.get("status") == "True" and told.get("message") and not repeated:
            emit(f"{name}: {told['message']}")


def _show_scaling(answer: Object, *, color: bool) -> None:
    active = answer["active"]
    if active.get("status") == "False":
        hindrance = "not scaling" if active["reason"] == "Paused" else "hindered"
        emit(f"{hindrance}: {active['reason']}: {active.get('message', '')}")
    if answer["demands"]:
        emit("")
        print_table(DEMANDS, answer["demands"], color=color)
    if answer["decisions"]:
        emit("")
        print_table(DECISIONS, answer["decisions"][::-1], color=color)
