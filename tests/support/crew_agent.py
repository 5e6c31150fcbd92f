"""The agent of the end-to-end tests: a Task's input says how it behaves.

Its text goes into a ConfigMap, and from there into pods of the SDK's own image.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from agentcorps.agent import Agent, Context, TaskError

LOOK_SECONDS = 0.1

agent = Agent(slots=4)


@agent.task("crew")
async def crew(given: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """Do what the input says, and answer with it."""
    match given.get("do", "echo"):
        case "fail":
            raise TaskError("told to fail", reason="ToldTo", retryable=False)
        case "hold":
            await _held(ctx)
        case "hold-once" if ctx.attempt == 1:
            await _held(ctx)
        case "crash-once" if ctx.attempt == 1:
            os._exit(3)
        case "hold-and-crash-once" if ctx.attempt == 1:
            await _held(ctx)
            os._exit(3)
        case "say":
            print(given["line"], flush=True)  # noqa: T201 -- what an agent's code may do
        case "sleep":
            await asyncio.sleep(given["seconds"])
        case _:
            pass
    return {"given": given, "by": os.environ["AGENTCORPS_AGENT"], "attempt": ctx.attempt}


@agent.task("deaf")
def deaf(given: dict[str, Any]) -> None:
    """Keep the thread for as long as told, whatever anybody wants."""
    time.sleep(given["seconds"])


async def _held(ctx: Context) -> None:
    """Wait until a file of the Task's name appears in /tmp."""
    gate = Path("/tmp", ctx.name)  # noqa: S108 -- the one writable folder of the pod
    ctx.progress(50, "held")
    while not await asyncio.to_thread(gate.exists):  # noqa: ASYNC110 -- another process makes it
        await asyncio.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    agent.run()
