"""An agent of the SDK, run in the test's own loop against the fake gateway."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentcorps.agent import Agent, Context
from agentcorps.api.protocol import CompleteRequest, FailRequest, TaskRef
from support.fake_gateway import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.fake_gateway import FakeGateway

Report = CompleteRequest | FailRequest


@dataclass
class Running:
    """A running agent."""

    stop: asyncio.Event
    """As SIGTERM."""
    task: asyncio.Task[None]


@contextlib.asynccontextmanager
async def running(
    agent: Agent, gateway: FakeGateway, *, grace_seconds: float = 20.0
) -> AsyncIterator[Running]:
    """Run an agent until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(agent.serve(gateway.settings(grace_seconds), stop))
    try:
        yield Running(stop, task)
    finally:
        stop.set()
        await task


def gated(slots: int = 1) -> tuple[Agent, asyncio.Event, list[str]]:
    """An agent whose tasks wait for an event, and the names of those that it started."""
    agent, gate, started = Agent(slots), asyncio.Event(), list[str]()

    @agent.task()
    async def wait(_: dict[str, Any], ctx: Context) -> str:
        started.append(ctx.name)
        await gate.wait()
        return ctx.name

    return agent, gate, started


async def report(gateway: FakeGateway, name: str, attempt: int = 1) -> Report:
    """The first report that the gateway took for an attempt."""
    taken = gateway.sessions.reports
    await until(lambda: taken.get((f"uid-{name}", attempt)))
    return taken[f"uid-{name}", attempt][0]


def ref(name: str, attempt: int = 1) -> TaskRef:
    """The fencing pair of ``delivery(name)``."""
    return TaskRef(uid=f"uid-{name}", attempt=attempt)
