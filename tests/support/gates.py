"""Files that hold back the work of agents in the tests' own process until the test makes them."""

import asyncio
from pathlib import Path
from typing import Any

from agentcorps.agent import Agent

LOOK_SECONDS = 0.1


async def opened(gate: str | None) -> None:
    """Wait until the file is there; without a name not at all."""
    while gate is not None and not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 -- others make it
        await asyncio.sleep(LOOK_SECONDS)


def gated_worker() -> Agent:
    """Return an agent that sleeps for as long as its input says, and until its gate is open."""
    agent = Agent()

    @agent.task("work")
    async def work(task: dict[str, Any]) -> None:
        await asyncio.sleep(task.get("sleep", 0))
        await opened(task.get("gate"))

    return agent
