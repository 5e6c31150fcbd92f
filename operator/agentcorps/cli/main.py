"""The entry point: builds and runs the command line; an error is one line and an exit code."""

import sys
import traceback
from pathlib import Path
from typing import Any

import typer

from agentcorps.cli import agent, pool, simulate, status, task, version
from agentcorps.cli.errors import CliError, ExitCode, one_line

PLUGIN = "kubectl-agentcorps"

# Plain help texts, as kubectl has them; errors are written by `run`.
app = typer.Typer(
    help="Create, monitor and scale fleets of agents, and feed them Tasks.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)
for _name, _noun in (("task", task.app), ("pool", pool.app), ("agent", agent.app)):
    app.add_typer(_noun, name=_name)
status.register(app)
version.register(app)
simulate.register(app)


def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.callback(invoke_without_command=True)(_help)
for _noun in (task.app, pool.app, agent.app):
    _noun.callback(invoke_without_command=True)(_help)


def run() -> None:
    """Run the command line of this process; never returns."""
    program = Path(sys.argv[0]).name
    sys.exit(main(sys.argv[1:], "kubectl agentcorps" if program == PLUGIN else "agentcorps"))


def main(arguments: list[str], program: str = "agentcorps") -> int:
    """Run the command line and return its exit code; errors are one line on stderr."""
    root: Any = typer.main.get_command(app)
    try:
        outcome = root.main(args=arguments, prog_name=program, standalone_mode=False)
    except CliError as error:
        _report(str(error))
        return error.code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else program
        _report(f"{error.format_message().rstrip('.')}{_hint(error)}; see `{path} --help`")
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 (the last boundary: people get a line, no traceback)
        # Only the kind and the place: the text of an unexpected error may hold a payload.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        _report(f"unexpected {type(error).__name__} at {where}: this is a bug, please report it")
        return ExitCode.API
    return outcome if isinstance(outcome, int) else ExitCode.OK


def _hint(error: Any) -> str:
    """Return where an option belongs that came too early, as people used to kubectl write it."""
    early = getattr(error, "option_name", None) and hasattr(error.ctx.command, "commands")
    return " here: options come after the command" if early else ""


def _report(message: str) -> None:
    sys.stderr.write(f"error: {one_line(message)}\n")
