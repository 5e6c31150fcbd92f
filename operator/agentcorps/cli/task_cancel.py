"""`agentcorps task cancel`: asks the operator to end Tasks, and says what came of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from agentcorps.api.kinds import TASK
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import CliError, UnreachableError
from agentcorps.cli.model import Object, is_finished, phase_of
from agentcorps.cli.names import TaskNames
from agentcorps.cli.options import Connection, Format, Printing, command
from agentcorps.cli.output import bare_name, emit, full_name, note, print_objects
from agentcorps.cli.waiting import parse_duration, wait_for

if TYPE_CHECKING:
    from agentcorps.cli.cluster import Cluster

EPILOG = """  agentcorps task cancel report-1
  agentcorps task cancel $(agentcorps task get --pool summarizers -o name) --wait"""


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "cancel", epilog=EPILOG)(cancel)


def cancel(
    names: TaskNames,
    *,
    connection: Connection,
    printing: Printing,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they have ended.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="Longest time of --wait."),
    ] = None,
) -> None:
    """Cancel Tasks: those that wait and those that run; a request cannot be taken back.

    A Task that has already ended stays as it is, which is no error. One that ends by itself before
    the operator sees the request keeps that end; --wait shows it.
    """
    limit = None if timeout is None else parse_duration(timeout)
    with connect(connection) as cluster:
        asked, error = _cancel_all(cluster, [bare_name(name) for name in names], printing)
        if wait and asked:
            ended = wait_for(
                cluster, asked, is_finished, timeout=limit, color=not connection.no_color
            )
            for item in ended:
                _say(item, f"is {phase_of(item)}", printing)
    if error is not None:
        raise error


def _cancel_all(
    cluster: "Cluster", names: list[str], printing: Printing
) -> tuple[list[str], CliError | None]:
    """Ask for each Task; returns the names of those that are to end, and the first error."""
    asked: list[str] = []
    first: CliError | None = None
    for name in names:
        try:
            item = _cancel_one(cluster, name, printing)
        except UnreachableError:
            raise
        except CliError as error:
            # One wrong name must not leave the others running.
            if first is not None:
                note(f"error: {error}")
            first = first or error
            continue
        if not is_finished(item):
            asked.append(name)
    return asked, first


def _cancel_one(cluster: "Cluster", name: str, printing: Printing) -> Object:
    item = cluster.get(TASK, name)
    if is_finished(item):
        verb = f"has already ended: {phase_of(item)}"
    elif item["spec"].get("cancel"):
        verb = "is already to be cancelled"
    else:
        item = cluster.patch(TASK, name, {"spec": {"cancel": True}})
        verb = "is to be cancelled"
    _say(item, verb, printing, whole=True)
    return item


def _say(item: Object, verb: str, printing: Printing, *, whole: bool = False) -> None:
    """Print a line; in another format the object, once."""
    item = {"apiVersion": TASK.api_version, "kind": TASK.kind, **item}
    if printing.output in {Format.TABLE, Format.WIDE}:
        emit(f"{full_name(item)} {verb}")
    elif whole:
        print_objects([item], printing.output, (), color=False, single=True)
