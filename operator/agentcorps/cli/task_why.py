"""`agentcorps task why`: why a Task waits, runs or ended as it did."""

import time
from datetime import datetime
from typing import Annotated

import typer

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import TaskPhase
from agentcorps.api.names import DEFAULT_AGING_SECONDS
from agentcorps.api.task import MAX_CRASHES
from agentcorps.cli import overview
from agentcorps.cli.connection import connect
from agentcorps.cli.model import Object
from agentcorps.cli.names import TaskName
from agentcorps.cli.options import Connection, OperatorNamespace, Printing, command
from agentcorps.cli.output import (
    Column,
    bare_name,
    check_answer_style,
    duration,
    emit,
    print_answer,
    print_table,
)


def _took(attempt: Object) -> str:
    started, finished = attempt.get("startedAt"), attempt.get("finishedAt")
    if not started or not finished:
        return ""
    elapsed = datetime.fromisoformat(finished) - datetime.fromisoformat(started)
    return duration(max(0, int(elapsed.total_seconds())))


ATTEMPTS = (
    Column("ATTEMPT", lambda row: row["attempt"]),
    Column("AGENT", lambda row: row.get("agentName", "")),
    Column("TOOK", _took),
    Column("ENDED WITH", lambda row: row.get("reason", "")),
    Column("BECAUSE", lambda row: row.get("message", "")),
)
LIMITS = (
    Column("LIMIT", lambda row: row["name"]),
    Column("VALUE", lambda row: row["value"]),
    Column("FROM", lambda row: row["from"]),
)
FILTERS = (
    Column("FILTER", lambda row: row["filter"]),
    Column("OUT", lambda row: row["out"]),
    Column("LEFT", lambda row: row["left"]),
)
AGENTS = (Column("AGENT", lambda row: row["name"]), Column("VERDICT", lambda row: row["verdict"]))


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "why", epilog="  agentcorps task why report-1")(why)


def why(
    name: TaskName,
    *,
    connection: Connection,
    operator_namespace: OperatorNamespace = overview.OPERATOR_NAMESPACE,
    aging_seconds: Annotated[
        float,
        typer.Option(
            "--aging-seconds",
            metavar="SECONDS",
            min=0.001,
            help="The operator's agingSeconds, where the chart sets another value: decides which"
            " Tasks are ahead.",
        ),
    ] = DEFAULT_AGING_SECONDS,
    printing: Printing,
) -> None:
    """Say why a Task waits, runs or ended as it did, and what each agent for it is up to.

    It is computed from the objects by the same code that decides in the operator.
    """
    check_answer_style(printing.output)
    from agentcorps.cli.explanation import explain_task  # noqa: PLC0415 (loads the operator's core)

    with connect(connection) as cluster:
        task = cluster.get(TASK, bare_name(name))
        answer = explain_task(cluster, task, time.time(), aging_seconds)
        answer["operator"] = overview.operator(cluster, operator_namespace)
    color = not connection.no_color
    print_answer(answer, printing.output, lambda: show(answer, color=color))


def show(answer: Object, *, color: bool) -> None:
    """Print the answer for people."""
    waits = answer["phase"] == TaskPhase.QUEUED
    reason = f" ({answer['reason']})" if answer["reason"] else ""
    emit(f"{answer['name']} is {answer['phase']}{reason}: {answer['message']}")
    if answer["next"] and answer["phase"] not in {TaskPhase.RUNNING, TaskPhase.SUCCEEDED}:
        emit(f"next: {answer['next']}")
    if waits and answer["poolTrouble"]:
        emit(f"pool: {answer['poolTrouble']}")
    if answer["failures"]:
        emit(f"failures: {answer['failures']}, of which {answer['retryLimit']} are tried again")
    if answer["crashes"]:
        emit(f"crashes: {answer['crashes']} of {MAX_CRASHES} after which it is given up")
    operator = answer["operator"]
    if answer["phase"] in {TaskPhase.QUEUED, TaskPhase.RUNNING} and operator["state"] != "leading":
        emit(f"operator: {operator['state']}: {operator['message']}")
    if answer["attempts"]:
        emit("")
        print_table(ATTEMPTS, answer["attempts"], color=color)
    if waits and answer["agents"]:
        emit("")
        print_table(FILTERS, answer["filters"], color=color)
        emit("")
        print_table(AGENTS, answer["agents"], color=color)
    emit("")
    print_table(LIMITS, _limits(answer["limits"]), color=color)


def _limits(limits: Object) -> list[Object]:
    """Return the limits that are set, as rows."""
    rows = []
    for name, held in limits.items():
        value = held["value"]
        if value is not None:
            shown = ",".join(value) if isinstance(value, list) else value
            rows.append({"name": name, "value": shown, "from": held["from"]})
    return rows
