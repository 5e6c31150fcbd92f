"""`agentcorps agent`: get, create."""

from dataclasses import replace
from typing import Annotated

import typer

from agentcorps.api.kinds import AGENT
from agentcorps.api.meta import LABEL_POOL, AgentPhase
from agentcorps.cli import objects
from agentcorps.cli.agent_spec import AgentOptions
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document
from agentcorps.cli.model import status_of
from agentcorps.cli.names import SomeAgentNames, pool_option
from agentcorps.cli.options import (
    Connection,
    Creation,
    ManifestFile,
    Printing,
    Selection,
    command,
)
from agentcorps.cli.output import Column

app = typer.Typer(help="Look at Agents, and create ones that stand alone.")

COLUMNS = (
    Column("POOL", lambda item: item["metadata"].get("labels", {}).get(LABEL_POOL, "")),
    Column("PHASE", lambda item: status_of(item).get("phase", AgentPhase.PENDING.value)),
    Column("REASON", lambda item: status_of(item).get("reason") or ""),
    Column(
        "SLOTS",
        lambda item: f"{item.get('status', {}).get('slotsUsed', 0)}/{item['spec'].get('slots', 1)}",
    ),
    Column("SUCCEEDED", lambda item: status_of(item).get("tasksSucceeded", 0)),
    Column("FAILED", lambda item: status_of(item).get("tasksFailed", 0)),
    Column("CAPABILITIES", lambda item: ",".join(item["spec"].get("capabilities", [])), wide=True),
    Column("MESSAGE", lambda item: status_of(item).get("message") or "", wide=True),
)


@command(app, "get", epilog="  agentcorps agent get --pool summarizers -o wide")
def get(
    names: SomeAgentNames = None,
    *,
    connection: Connection,
    selection: Selection,
    printing: Printing,
    pool: Annotated[str | None, pool_option("Only Agents of this pool.")] = None,
) -> None:
    """List Agents, or show some of them.

    Busy and slots are at most a minute old here; `agentcorps status` counts from the Tasks.
    """
    labels = [f"{LABEL_POOL}={pool}" if pool else None, selection.selector]
    objects.get(
        AGENT,
        names or [],
        COLUMNS,
        connection=connection,
        selection=replace(selection, selector=",".join(filter(None, labels)) or None),
        printing=printing,
    )


@command(
    app,
    "create",
    epilog="  agentcorps agent create translator --image example.org/translator:1 --slots 4",
)
def create(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the Agent.")] = None,
    *,
    agent: AgentOptions,
    filename: ManifestFile = None,
    creation: Creation,
    connection: Connection,
    printing: Printing,
) -> None:
    """Create an Agent that stands alone, from options; or Agents from a manifest."""
    if filename is not None:
        if name is not None or agent.given():
            raise InputError("-f takes all from the manifest: drop the name and the other options")
        documents = objects.documents_of(AGENT, filename)
    elif name is None:
        raise InputError("the name is missing: give it with --image, or give a manifest with -f")
    else:
        body = {
            "apiVersion": AGENT.api_version,
            "kind": AGENT.kind,
            "metadata": {"name": name},
            "spec": agent.spec(),
        }
        documents = [Document(body, f"agent {name!r}")]
    objects.create(AGENT, documents, connection=connection, printing=printing, creation=creation)
