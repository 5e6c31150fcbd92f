"""The command ``agentcorps-agent run module:attr``: the entry point of an agent's image."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from agentcorps.agent.app import Agent


def run() -> None:
    """Parse the command line and run the agent that it names."""
    parser = argparse.ArgumentParser(
        prog="agentcorps-agent", description="Runs an agent written with the agentcorps SDK."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("run", help="run an agent until SIGTERM")
    command.add_argument(
        "target", metavar="MODULE:ATTR", help="the Agent object, such as summarizer:agent"
    )
    target = parser.parse_args().target
    # As with `python -m`: modules of the working directory first.
    sys.path.insert(0, str(Path.cwd()))
    load(target).run()


def load(target: str) -> Agent:
    """Import an Agent object.

    Args:
        target: ``module:attribute``.

    Raises:
        SystemExit: With a line for people, when it is not there.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise SystemExit(f"agentcorps-agent: {target!r} is not MODULE:ATTR, such as app:agent")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise SystemExit(f"agentcorps-agent: there is no module {module_name!r}") from None
    agent = getattr(module, attribute, None)
    if not isinstance(agent, Agent):
        raise SystemExit(f"agentcorps-agent: {target} is not an Agent")
    return agent
