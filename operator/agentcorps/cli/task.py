"""`agentcorps task`: get, wait, result (the other verbs have files of their own)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import TaskPhase
from agentcorps.api.task import DEFAULT_RETRY_LIMIT, DEFAULT_TIMEOUT_SECONDS
from agentcorps.cli import objects, task_cancel, task_logs, task_retry, task_submit, task_why
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import CliError, WaitTimeoutError
from agentcorps.cli.model import Object, has_started, is_finished, phase_of, status_of
from agentcorps.cli.names import SomeTaskNames, TaskName, TaskNames, pool_option
from agentcorps.cli.options import Connection, Format, Printing, Selection, command
from agentcorps.cli.output import (
    Column,
    age,
    bare_name,
    emit,
    full_name,
    print_objects,
    to_json,
    to_yaml,
)
from agentcorps.cli.payloads import with_result
from agentcorps.cli.waiting import outcome_of, parse_duration, wait_for

app = typer.Typer(help="Submit Tasks, follow them, fetch their results.")
task_submit.register(app)
task_cancel.register(app)
task_retry.register(app)
task_logs.register(app)


class ResultFormat(StrEnum):
    """How a result is printed."""

    JSON = "json"
    YAML = "yaml"
    RAW = "raw"


class WaitFor(StrEnum):
    """What `task wait` waits for."""

    TERMINAL = "terminal"
    RUNNING = "running"


def _cell(field: str) -> Callable[[Object], object]:
    return lambda item: status_of(item).get(field) or ""


def _progress(item: Object) -> str:
    """Return how far a running Task is, as in `40%`."""
    percent = (status_of(item).get("progress") or {}).get("percent")
    return "" if percent is None else f"{percent}%"


def _ended_attempts(item: Object) -> str:
    """Return how the last attempts ended, as in `1:AgentLost 2:Timeout`."""
    ended = status_of(item).get("attempts") or ()
    return " ".join(f"{one.get('attempt')}:{one.get('reason', '')}" for one in ended)


def _limit(*path: str, default: int) -> Callable[[Object], object]:
    """Return the cell of a limit that holds; `pool` while that is up to the Task's pool."""

    def within(value: Any) -> Any:
        for name in path:
            value = (value or {}).get(name)
        return value

    def cell(item: Object) -> object:
        own, status = within(item["spec"]), status_of(item)
        if own is not None:
            return own
        if phase_of(item) is TaskPhase.QUEUED and not status.get("attempt"):
            return "pool"
        inherited = within(status.get("poolDefaults"))
        return default if inherited is None else inherited

    return cell


COLUMNS = (
    Column("POOL", lambda item: item["spec"].get("pool", "")),
    Column("PHASE", lambda item: status_of(item).get("phase", TaskPhase.QUEUED.value)),
    Column("REASON", _cell("reason")),
    Column("AGENT", _cell("agentName")),
    Column("ATTEMPT", lambda item: status_of(item).get("attempt", 0)),
    Column("PROGRESS", _progress),
    Column("FAILURES", lambda item: status_of(item).get("failures", 0), wide=True),
    Column("ATTEMPTS", _ended_attempts, wide=True),
    Column("TIMEOUT", _limit("timeoutSeconds", default=DEFAULT_TIMEOUT_SECONDS), wide=True),
    Column("RETRIES", _limit("retry", "limit", default=DEFAULT_RETRY_LIMIT), wide=True),
    Column("PRIORITY", lambda item: item["spec"].get("priority", 0), wide=True),
    Column("STARTED", lambda item: age(status_of(item).get("startedAt")), wide=True),
    Column("FINISHED", lambda item: age(status_of(item).get("finishedAt")), wide=True),
    Column("MESSAGE", _cell("message"), wide=True),
)


@command(
    app,
    "get",
    epilog="  agentcorps task get --pool summarizers --phase Failed\n"
    "  agentcorps task get report-1 -o yaml\n"
    "  agentcorps task get --pool summarizers --watch",
)
def get(
    names: SomeTaskNames = None,
    *,
    connection: Connection,
    selection: Selection,
    printing: Printing,
    pool: Annotated[str | None, pool_option("Only Tasks of this pool.")] = None,
    phase: Annotated[
        TaskPhase | None, typer.Option("--phase", help="Only Tasks in this phase.")
    ] = None,
) -> None:
    """List Tasks, or show some of them."""
    objects.get(
        TASK,
        names or [],
        COLUMNS,
        connection=connection,
        selection=selection,
        printing=printing,
        fields={"spec.pool": pool, "status.phase": phase.value if phase else None},
    )


@command(
    app,
    "wait",
    epilog="  agentcorps task wait report-1 --timeout 5m\n"
    "  agentcorps task wait $(agentcorps task submit -f tasks.jsonl -o name)",
)
def wait(
    names: TaskNames,
    *,
    connection: Connection,
    printing: Printing,
    until: Annotated[
        WaitFor, typer.Option("--for", help="A final phase, or the start of the work.")
    ] = WaitFor.TERMINAL,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="Longest time, such as 90s or 5m; without it no limit.",
        ),
    ] = None,
) -> None:
    """Wait until Tasks have ended; the exit code says how.

    0: all succeeded. 1: one failed or timed out. 5: one was cancelled. 4: not all ended in time.
    """
    limit = None if timeout is None else parse_duration(timeout)
    condition = is_finished if until is WaitFor.TERMINAL else has_started
    with connect(connection) as cluster:
        found = wait_for(
            cluster,
            [bare_name(name) for name in names],
            condition,
            timeout=limit,
            color=not connection.no_color,
        )
    if printing.output in {Format.TABLE, Format.WIDE}:
        for item in found:
            emit(f"{full_name({'kind': TASK.kind, **item})} {phase_of(item)}")
    else:
        whole = [{"apiVersion": TASK.api_version, "kind": TASK.kind, **item} for item in found]
        print_objects(whole, printing.output, (), color=False, single=len(whole) == 1)
    _end(found)


@command(
    app,
    "result",
    epilog="  agentcorps task result report-1 | jq .summary\n"
    "  agentcorps task result report-1 --wait --timeout 2m -o raw",
)
def result(
    name: TaskName,
    *,
    connection: Connection,
    output: Annotated[
        ResultFormat,
        typer.Option(
            "--output", "-o", help="raw prints a string as it is, all else as compact JSON."
        ),
    ] = ResultFormat.JSON,
    waiting: Annotated[bool, typer.Option("--wait", help="Wait for the end of the Task.")] = False,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Longest time of --wait.")
    ] = None,
) -> None:
    """Print the result of a Task, also one that a Secret keeps, if you may read that.

    Exit codes: 1 when it failed, 5 when it was cancelled, 4 when it has not ended yet.
    """
    limit = None if timeout is None else parse_duration(timeout)
    with connect(connection) as cluster:
        task = cluster.get(TASK, bare_name(name))
        if waiting:
            [task] = wait_for(
                cluster,
                [task["metadata"]["name"]],
                is_finished,
                timeout=limit,
                color=not connection.no_color,
            )
        if not is_finished(task):
            raise WaitTimeoutError(f"task {name!r} is still {phase_of(task)}: add --wait")
        _end([task])
        task = with_result(cluster, task)
    emit(result_text(task, output))


def result_text(task: Object, style: ResultFormat) -> str:
    """Return the result of a succeeded Task as text."""
    value = task["status"].get("result")
    if style is ResultFormat.YAML:
        return to_yaml(value)
    if style is ResultFormat.RAW:
        return value if isinstance(value, str) else to_json(value, compact=True)
    return to_json(value)


def _end(tasks: list[Object]) -> None:
    error: CliError | None = outcome_of([task for task in tasks if is_finished(task)])
    if error is not None:
        raise error


task_why.register(app)
