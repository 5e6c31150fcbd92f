"""Arguments that are names of objects; the shell completes them with those that exist."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Annotated, Any, Final

import typer

from agentcorps.api.kinds import AGENT, AGENT_POOL, TASK, Kind
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import CliError
from agentcorps.cli.options import Connection

MOST: Final = 200
"""Names that are offered: a shell that lists more helps nobody."""


def completer(kind: Kind) -> Callable[[typer.Context, str], list[str]]:
    """Return a function that completes names of a kind, in the namespace that the options name."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        # A completion has nowhere to say what is wrong: the command itself will.
        with suppress(CliError):
            return list(_names(kind, _connection(ctx.params), incomplete))
        return []

    return complete


def _connection(given: dict[str, Any]) -> Connection:
    known = {field.name for field in fields(Connection)}
    return Connection(**{name: value for name, value in given.items() if name in known})


def _names(kind: Kind, connection: Connection, incomplete: str) -> Iterator[str]:
    found = 0
    with connect(connection) as cluster:
        for page in cluster.pages(kind, cluster.namespace):
            for item in page["items"]:
                if item["metadata"]["name"].startswith(incomplete) and found < MOST:
                    found += 1
                    yield item["metadata"]["name"]
            if found == MOST:
                return


_TASK: Final = completer(TASK)
_POOL: Final = completer(AGENT_POOL)
_AGENT: Final = completer(AGENT)

TaskName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the Task.", autocompletion=_TASK)
]
TaskNames = Annotated[
    list[str], typer.Argument(metavar="NAME", help="Names of Tasks.", autocompletion=_TASK)
]
SomeTaskNames = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Names of Tasks.", autocompletion=_TASK)
]
SomePoolNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Names of AgentPools.", autocompletion=_POOL),
]
PoolNameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the AgentPool.", autocompletion=_POOL)
]
SomeAgentNames = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Names of Agents.", autocompletion=_AGENT)
]


def pool_option(text: str) -> Any:
    """Return the option --pool."""
    return typer.Option("--pool", metavar="NAME", help=text, autocompletion=_POOL)
