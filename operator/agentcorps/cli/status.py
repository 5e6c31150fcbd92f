"""`agentcorps status`: the overview as a command."""

from typing import Annotated

import typer

from agentcorps.cli import overview
from agentcorps.cli.connection import connect
from agentcorps.cli.model import Object
from agentcorps.cli.options import Connection, OperatorNamespace, Printing, command
from agentcorps.cli.output import Column, check_answer_style, emit, print_answer, print_table

_FIELDS = ("target", "ready", "idle", "busy", "queued", "running")


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(app, "status", epilog="  agentcorps status -A\n  agentcorps status -o json")(status)


def status(
    *,
    connection: Connection,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")
    ] = False,
    operator_namespace: OperatorNamespace = overview.OPERATOR_NAMESPACE,
    printing: Printing,
) -> None:
    """Show operator, pools, agents and Tasks at a glance.

    Busy agents are counted from the Tasks that run, so the numbers are live. Where there is a
    ResourceQuota, SHARE is how many agents it leaves to a pool beside the others.
    """
    check_answer_style(printing.output)
    with connect(connection) as cluster:
        namespace = None if all_namespaces else cluster.namespace
        report = overview.gather(cluster, namespace, operator_namespace)
    color = not connection.no_color
    print_answer(report, printing.output, lambda: _print(report, namespace, color=color))


def _print(report: Object, namespace: str | None, *, color: bool) -> None:
    operator = report["operator"]
    emit(f"operator   {operator['state']}: {operator['message']}")
    emit(f"agents     {_counts(report['agents'])}")
    emit(f"tasks      {_counts(report['tasks'])}")
    if not report["pools"]:
        where = f" in namespace {namespace}" if namespace else ""
        emit(f"pools      none{where}: see `agentcorps pool create --help`")
        return
    emit("")
    columns = [_number(field) for field in _FIELDS]
    columns.insert(0, Column("POOL", lambda row: row["name"]))
    if namespace is None:
        columns.insert(0, Column("NAMESPACE", lambda row: row["namespace"]))
    if any(pool["granted"] is not None for pool in report["pools"]):
        columns.insert(2 + (namespace is None), Column("SHARE", _share))
    if any(pool["problem"] for pool in report["pools"]):
        columns.append(Column("PROBLEM", lambda row: row["problem"]))
    print_table(columns, report["pools"], color=color)
    if report["quotas"]:
        emit("")
        names = ["quota", "resource", "used", "hard"]
        names = ["namespace", *names] if namespace is None else names
        print_table([_number(name) for name in names], report["quotas"], color=color)


def _share(pool: Object) -> object:
    """What the quotas leave to a pool; nothing where there are none."""
    return "" if pool["granted"] is None else pool["granted"]


def _number(field: str) -> Column:
    return Column(field.upper(), lambda row: row[field])


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    detail = ", ".join(f"{number} {phase}" for phase, number in counts.items())
    return f"{total} ({detail})" if total else "none"
