"""`agentcorps version`: of the command, the API server and the API."""

from typing import Annotated

import typer

from agentcorps import __version__
from agentcorps.cli.connection import connect
from agentcorps.cli.options import Connection, command
from agentcorps.cli.output import emit


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(app, "version")(version)


def version(
    *,
    client: Annotated[
        bool, typer.Option("--client", help="Only this command's version; no cluster is asked.")
    ] = False,
    connection: Connection,
) -> None:
    """Show versions: of this command, of Kubernetes, and of the agentcorps API that is served."""
    emit(f"agentcorps {__version__}")
    if client:
        return
    with connect(connection) as cluster:
        emit(f"kubernetes {cluster.read('/version')['gitVersion']}")
        served = ", ".join(cluster.served_versions()) or "not installed"
        emit(f"agentcorps.dev {served}")
