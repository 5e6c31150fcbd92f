"""Connections to the API server for tests of the adapters, with clocks that tests turn by hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from agentcorps.adapters.clock import ServerClock
from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.credentials import Credentials
from agentcorps.core.records import Now
from support.api_proxy import ApiProxy, Proxied

Result = TypeVar("Result")


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[ApiConnection]:
    """Yield a connection to the API server."""
    credentials = await Credentials.load(str(kubeconfig))
    async with ApiConnection(credentials, ServerClock()) as api:
        yield api


@asynccontextmanager
async def proxied(kubeconfig: Path) -> AsyncIterator[tuple[ApiConnection, ApiProxy]]:
    """Yield a connection that leads through a proxy, and the proxy."""
    credentials = await Credentials.load(str(kubeconfig))
    async with (
        ApiProxy(credentials).serving() as proxy,
        ApiConnection(Proxied(proxy, credentials), ServerClock()) as api,
    ):
        yield api, proxy


@asynccontextmanager
async def running(*tasks: "asyncio.Task[None]") -> AsyncIterator[None]:
    """Cancel tasks in the end; an error of theirs fails the test."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def eventually(
    probe: Callable[[], Result], what: str, *, seconds: float = 60, every: float = 0.02
) -> Result:
    """Return the first truthy answer of `probe`, while the event loop goes on.

    Args:
        probe: Asked again and again.
        what: What is waited for, for the message.
        seconds: After which it is given up; a guard, not a measurement.
        every: Seconds between two questions.

    Raises:
        AssertionError: It did not come; the message holds the last answer.
    """
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s; last answer: {answer!r}")
        await asyncio.sleep(every)
    return answer


async def answered(
    ask: Callable[[], Awaitable[Result]], what: str, *, seconds: float = 60, every: float = 0.05
) -> Result:
    """Return the first truthy answer of `ask`, which has to be awaited; see `eventually`."""
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s; last answer: {answer!r}")
        await asyncio.sleep(every)
    return answer


@dataclass
class HandClock:
    """A clock that moves only by hand, and sleep that follows it."""

    monotonic: float = 1000.0
    wall: float = field(default_factory=time.time)
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    def now(self) -> Now:
        """Return this instant."""
        return Now(self.monotonic, self.wall)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved by `seconds`."""
        entry = (self.monotonic + seconds, asyncio.Event())
        self.sleepers.append(entry)
        try:
            await entry[1].wait()
        finally:
            self.sleepers.remove(entry)

    async def asleep(self, count: int) -> None:
        """Wait until `count` sleepers wait for the clock."""
        await eventually(
            lambda: sum(not event.is_set() for _, event in self.sleepers) >= count,
            f"{count} sleepers",
        )

    def turn(self, seconds: float) -> None:
        """Move the clock and wake who is due."""
        self.monotonic += seconds
        self.wall += seconds
        for until, event in self.sleepers:
            if until <= self.monotonic + 1e-6:
                event.set()
