"""An agent for tests that need one in a process of its own."""

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from agentcorps.agent import Agent, Context, TaskError

agent = Agent(slots=2)


@agent.task("nap")
async def nap(_: dict[str, Any], ctx: Context) -> str:
    """Sleep for a moment, so that there is something to finish after SIGTERM."""
    ctx.progress(50, "napping")
    await asyncio.sleep(0.5)
    return "rested"


@agent.task("square", process=True)
def square(given: dict[str, Any], ctx: Context) -> dict[str, int]:
    """Compute something in a process of its own, once the given file is there."""
    ctx.progress(10, "computing")
    while not Path(given["go"]).exists():
        time.sleep(0.01)
    return {"square": given["number"] ** 2, "pid": os.getpid()}


@agent.task("hang", process=True)
def hang(given: dict[str, Any]) -> None:
    """Start a program, say which, and never return."""
    program = subprocess.Popen(["sleep", "600"])
    Path(given["file"]).write_text(f"{os.getpid()} {program.pid}\n", encoding="utf-8")
    while True:
        time.sleep(60)


@agent.task("crash", process=True)
def crash(_: dict[str, Any]) -> None:
    """End without a word."""
    os._exit(3)


@agent.task("refuse", process=True)
def refuse(_: dict[str, Any]) -> None:
    """Fail on purpose."""
    raise TaskError("not today", reason="NotToday", retryable=False)
