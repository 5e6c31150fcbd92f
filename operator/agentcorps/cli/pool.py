"""`agentcorps pool`: get, create, scale, why."""

from typing import Annotated

import typer

from agentcorps.api.kinds import AGENT_POOL
from agentcorps.api.scaling import LimitedBy
from agentcorps.cli import objects, pool_why
from agentcorps.cli.agent_spec import AgentOptions
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document
from agentcorps.cli.model import Object, status_of
from agentcorps.cli.names import PoolNameArgument, SomePoolNames
from agentcorps.cli.options import (
    Connection,
    Creation,
    DryRun,
    ManifestFile,
    Printing,
    Selection,
    command,
)
from agentcorps.cli.output import Column, bare_name

app = typer.Typer(help="Create and scale AgentPools.")

_NUMBERS = (
    ("TARGET", "targetReplicas"),
    ("READY", "readyReplicas"),
    ("IDLE", "idleReplicas"),
    ("BUSY", "busyReplicas"),
    ("QUEUED", "queuedTasks"),
    ("RUNNING", "runningTasks"),
)


def _number(header: str, field: str) -> Column:
    return Column(header, lambda item: status_of(item).get(field, 0))


def _replicas(spec: Object) -> int | str:
    """Return the number that somebody set, which a pool that scales itself does not have."""
    return "" if spec.get("scaling") else int(spec.get("replicas", 1))


COLUMNS = (
    Column("REPLICAS", lambda item: _replicas(item["spec"])),
    *(_number(header, field) for header, field in _NUMBERS),
    Column("LIMITED-BY", lambda item: status_of(item).get("limitedBy", LimitedBy.NONE.value)),
    Column(
        "IMAGE",
        lambda item: ",".join(
            container["image"]
            for container in item["spec"]["template"]["spec"]["podTemplate"]["spec"]["containers"]
        ),
        wide=True,
    ),
    Column(
        "CAPABILITIES",
        lambda item: ",".join(item["spec"]["template"]["spec"].get("capabilities", [])),
        wide=True,
    ),
)


@command(app, "get", epilog="  agentcorps pool get -A\n  agentcorps pool get summarizers -o yaml")
def get(
    names: SomePoolNames = None,
    *,
    connection: Connection,
    selection: Selection,
    printing: Printing,
) -> None:
    """List AgentPools, or show some of them."""
    objects.get(
        AGENT_POOL,
        names or [],
        COLUMNS,
        connection=connection,
        selection=selection,
        printing=printing,
    )


@command(
    app,
    "create",
    epilog="  agentcorps pool create summarizers --image agentcorps/text-agent:0.1.0"
    " --capability summarize --replicas 3\n"
    "  agentcorps pool create -f pool.yaml --dry-run=server",
)
def create(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the AgentPool.")
    ] = None,
    *,
    agent: AgentOptions,
    replicas: Annotated[
        int | None, typer.Option("--replicas", help="Number of agents; by default 1.")
    ] = None,
    filename: ManifestFile = None,
    creation: Creation,
    connection: Connection,
    printing: Printing,
) -> None:
    """Create an AgentPool from options, or AgentPools from a manifest."""
    if filename is not None:
        if name is not None or replicas is not None or agent.given():
            raise InputError("-f takes all from the manifest: drop the name and the other options")
        documents = objects.documents_of(AGENT_POOL, filename)
    elif name is None:
        raise InputError("the name is missing: give it with --image, or give a manifest with -f")
    else:
        documents = [Document(_pool(name, replicas, agent), f"pool {name!r}")]
    objects.create(
        AGENT_POOL, documents, connection=connection, printing=printing, creation=creation
    )


@command(app, "scale", epilog="  agentcorps pool scale summarizers --replicas 5")
def scale(
    name: PoolNameArgument,
    replicas: Annotated[int, typer.Option("--replicas", help="Number of agents wanted.")],
    *,
    creation: Creation,
    connection: Connection,
    printing: Printing,
) -> None:
    """Set the number of agents of an AgentPool, through its scale subresource.

    A pool with spec.scaling sets its number itself, and this is refused.
    """
    if replicas < 0:
        raise InputError("--replicas must be at least 0")
    with connect(connection) as cluster:
        wanted = bare_name(name)
        if creation.dry_run is DryRun.CLIENT:
            shown = cluster.get(AGENT_POOL, wanted)
        else:
            cluster.scale(wanted, replicas, dry_run=creation.dry_run is DryRun.SERVER)
            shown = cluster.get(AGENT_POOL, wanted)
    objects.report(shown, "scaled", printing, creation)


pool_why.register(app)


def _pool(name: str, replicas: int | None, agent: AgentOptions) -> Object:
    count = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": AGENT_POOL.api_version,
        "kind": AGENT_POOL.kind,
        "metadata": {"name": name},
        "spec": {**count, "template": {"spec": agent.spec()}},
    }
