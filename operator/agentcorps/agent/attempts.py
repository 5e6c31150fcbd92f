"""The attempts that this process holds: each runs, is reported, and then frees its slot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentcorps.agent import work
from agentcorps.agent.context import Context, TaskInfo
from agentcorps.agent.handlers import pick
from agentcorps.agent.logs import log_task
from agentcorps.agent.outcome import Failed
from agentcorps.api.protocol import TaskRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from agentcorps.agent.handlers import Handler
    from agentcorps.agent.outcome import Outcome
    from agentcorps.agent.progress import ProgressPump
    from agentcorps.agent.reporter import Reporter
    from agentcorps.api.protocol import TaskDelivery

TIMEOUT_SLACK_SECONDS = 2.0
"""The operator judges timeouts; this process only makes sure that none is forgotten."""
REMEMBERED = 1024
"""Attempts that are kept in mind after their end, so that none runs twice."""


@dataclass(slots=True)
class Attempt:
    """One attempt in this process."""

    delivery: TaskDelivery
    info: TaskInfo
    ref: TaskRef
    stop: asyncio.Future[str]
    """Done when the attempt is to stop; says why."""
    fenced: str = ""
    """Why the gateway must be told that the attempt was cancelled here; empty when it knows."""
    owned: bool = True
    """False once the gateway need not hear of it any more; its thread may still run."""
    task: asyncio.Task[None] | None = field(default=None)


class Attempts:
    """Runs attempts, at most one per (uid, attempt).

    Args:
        handlers: The functions to pick from.
        slots: Attempts at a time.
        reporter: Brings the outcomes to the gateway.
        pump: Makes the way for an attempt's progress.
    """

    def __init__(
        self,
        handlers: Collection[Handler],
        slots: int,
        reporter: Reporter,
        pump: Callable[[TaskRef], ProgressPump],
    ) -> None:
        self._handlers = handlers
        self._slots = slots
        self._reporter = reporter
        self._pump = pump
        self._held: dict[TaskRef, Attempt] = {}
        self._seen: OrderedDict[TaskRef, None] = OrderedDict()
        self.changed = asyncio.Event()
        """Set whenever a slot is freed."""

    @property
    def free(self) -> int:
        """Slots that take a task now; a thread that cannot be stopped keeps its slot."""
        return max(0, self._slots - len(self._held))

    @property
    def owned(self) -> int:
        """Number of attempts that the gateway still waits for."""
        return sum(one.owned for one in self._held.values())

    @property
    def running(self) -> list[TaskRef]:
        """The attempts that the gateway still waits for."""
        return [ref for ref, one in self._held.items() if one.owned]

    def start(self, deliveries: Iterable[TaskDelivery]) -> None:
        """Start what was delivered, but nothing twice."""
        for delivery in deliveries:
            ref = TaskRef(uid=delivery.uid, attempt=delivery.attempt)
            info = TaskInfo.of(delivery)
            if ref in self._seen:
                log_task("delivered again, ignored", info, logging.WARNING)
                continue
            self._seen[ref] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            attempt = Attempt(delivery, info, ref, stop)
            self._held[ref] = attempt
            attempt.task = asyncio.create_task(self._attend(attempt))

    def stop(self, refs: Iterable[TaskRef], why: str) -> None:
        """Stop attempts that still work; one whose outcome is known gets its answer anyway."""
        for ref in refs:
            attempt = self._held.get(ref)
            if attempt is not None and not attempt.stop.done():
                attempt.stop.set_result(why)

    def fence(self, why: str) -> None:
        """Cancel what still works; its loss is reported as soon as the gateway is heard again."""
        for attempt in self._held.values():
            attempt.fenced = why
        self.stop(list(self._held), "fenced")

    async def abandon(self) -> None:
        """Stop everything at once; nothing more is reported."""
        tasks = []
        for attempt in self._held.values():
            if not attempt.stop.done():
                attempt.stop.set_result("the process ends")
            if attempt.task is not None:
                tasks.append(attempt.task)
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)
        for task in tasks:
            task.cancel()

    async def _attend(self, attempt: Attempt) -> None:
        """See an attempt through, from its start to a free slot."""
        began = time.monotonic()
        log_task("task started", attempt.info)
        try:
            working, outcome = await self._work(attempt)
            if outcome is None:
                said = attempt.stop.result()
            else:
                said = await self._reporter.report(attempt.ref, outcome)
            attempt.owned = False
            self.changed.set()
            seconds = round(time.monotonic() - began, 3)
            log_task("task ended", attempt.info, outcome=said, seconds=seconds)
            if working is not None and not working.done():
                await asyncio.wait({working})
                log_task("its handler returned at last", attempt.info, logging.WARNING)
        finally:
            del self._held[attempt.ref]
            self.changed.set()

    async def _work(
        self, attempt: Attempt
    ) -> tuple[asyncio.Future[Outcome] | None, Outcome | None]:
        """Run the handler; the outcome is None if the attempt is to be given up."""
        handler = pick(self._handlers, attempt.delivery.requires)
        if isinstance(handler, Failed):
            return None, handler
        pump = self._pump(attempt.ref)
        context = Context(attempt.info, pump.report)
        working = work.start(handler, attempt.delivery.input, attempt.info, context)
        limit = context.remaining_seconds + TIMEOUT_SLACK_SECONDS
        either: set[asyncio.Future[Any]] = {working, attempt.stop}
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        pump.close()
        if not working.done():
            context.cancel()
            if isinstance(working, asyncio.Task):
                working.cancel()
            return working, _cut_short(attempt)
        if working.cancelled():
            return working, Failed("AgentError", "the handler cancelled itself")
        return working, working.result()


def _cut_short(attempt: Attempt) -> Failed | None:
    """What to report of an attempt whose handler was stopped; None if the gateway wanted it so."""
    if not attempt.stop.done():
        return Failed("Timeout", "the handler did not return within the attempt's time")
    return Failed("AgentLost", attempt.fenced) if attempt.fenced else None
