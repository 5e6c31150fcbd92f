"""The life of an agent process: hello, polls or heartbeats, and a goodbye in the end."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, TypeVar

from agentcorps.agent.attempts import Attempts
from agentcorps.agent.backoff import Backoff
from agentcorps.agent.client import GatewayClient
from agentcorps.agent.errors import GatewayError, Refused
from agentcorps.agent.fence import Fence
from agentcorps.agent.logs import log
from agentcorps.agent.progress import ProgressPump
from agentcorps.agent.reporter import FINAL, Reporter
from agentcorps.agent.term import Term
from agentcorps.api.protocol import (
    PROTOCOL_VERSION,
    GoodbyeRequest,
    HeartbeatRequest,
    HelloRequest,
    NextRequest,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from agentcorps.agent.handlers import Handler
    from agentcorps.agent.settings import Settings
    from agentcorps.api.protocol import Directives, TaskRef

Answer = TypeVar("Answer")

POLL_SECONDS = 25.0
QUICK_SECONDS = 1.0
"""A poll that brings no task and yet ends sooner than this is followed by a pause."""
QUICK_PAUSE_SECONDS = 0.5
HEARTBEAT_SHARE = 0.75
"""Heartbeats come this much earlier than the gateway's longest silence."""
GOODBYE_SECONDS = 3.0
DRAINED_GOODBYE_SECONDS = 60.0


class Worker:
    """One agent process.

    Args:
        settings: Where the gateway is.
        handlers: The functions that do the work.
        slots: Tasks at a time.
        capabilities: What to tell the gateway; none stands for all that the Agent declares.
    """

    def __init__(
        self,
        settings: Settings,
        handlers: Collection[Handler],
        slots: int,
        capabilities: list[str],
    ) -> None:
        self._settings = settings
        self._slots = slots
        self._capabilities = capabilities
        self._instance = uuid.uuid4().hex
        self._client = GatewayClient(settings)
        reporter = Reporter(self._client, self._instance, self._obey, self._session_lost)
        self._attempts = Attempts(handlers, slots, reporter, self._pump)
        self._fence = Fence(lambda: self._client.answered, self._cut_off)
        self._term = Term()
        self._backoff = Backoff()
        self._heartbeat_seconds = 10.0
        self._draining = False
        self._lost = False
        self._stop = asyncio.Event()
        self._interrupt = asyncio.Event()

    def stop(self) -> None:
        """End soon: take nothing more, finish what runs within the grace time, say goodbye."""
        if not self._stop.is_set():
            log("stopping", running=self._attempts.owned)
            self._stop.set()
            self._interrupted()

    async def run(self) -> None:
        """Work until ``stop`` is called.

        A drained agent stays, idle: it is the operator that deletes its pod, and one that
        exits by itself would be started anew by the kubelet.
        """
        async with self._client:
            serving = asyncio.create_task(self._serve())
            stopping = asyncio.create_task(self._stop.wait())
            fencing = asyncio.create_task(self._fence.watch())
            try:
                first = asyncio.FIRST_COMPLETED
                await asyncio.wait({serving, stopping}, return_when=first)
                if not serving.done():
                    await asyncio.wait({serving}, timeout=self._settings.grace_seconds)
            finally:
                serving.cancel()
                stopping.cancel()
                fencing.cancel()
                await self._attempts.abandon()
            if serving.done() and not serving.cancelled():
                serving.result()
            await self._leave()
        log("stopped")

    async def _serve(self) -> None:
        """Keep a session and work in it, until there is nothing more to do."""
        while not self._finished():
            try:
                await self._hello()
                while not (self._lost or self._finished()):
                    await self._turn()
            except GatewayError as error:
                await self._recover(error)

    def _finished(self) -> bool:
        return (self._draining or self._stop.is_set()) and not self._attempts.owned

    async def _recover(self, error: GatewayError) -> None:
        """Log what went wrong and wait a little before the next hello."""
        pause = self._backoff.next(error.retry_after if isinstance(error, Refused) else None)
        log("gateway", logging.WARNING, error=str(error), retry_seconds=round(pause, 2))
        await self._unless_interrupted(asyncio.sleep(pause))

    async def _hello(self) -> None:
        """Introduce this process with what it runs."""
        request = HelloRequest(
            protocol_version=PROTOCOL_VERSION,
            instance=self._instance,
            slots=self._slots,
            capabilities=self._capabilities,
            running=self._attempts.running,
        )
        self._lost = False
        self._interrupt.clear()
        answer = await self._unless_interrupted(self._client.hello(request))
        if answer is None:
            self._lost = True
            return
        if not self._term.accepts_hello(answer.epoch, time.monotonic()):
            raise GatewayError("an earlier leader answered; waiting for the current one")
        self._heartbeat_seconds = answer.heartbeat_seconds
        self._fence.set(answer.self_fence_seconds)
        log("connected", agent=f"{answer.namespace}/{answer.agent}", epoch=answer.epoch)
        self._obey(answer)

    async def _turn(self) -> None:
        """One poll; or, with nothing to ask for, one heartbeat unless something happens first."""
        self._attempts.changed.clear()
        self._interrupt.clear()
        if self._attempts.free and not self._draining and not self._stop.is_set():
            await self._poll()
        else:
            await self._beat()
        self._backoff.reset()

    async def _poll(self) -> None:
        asked = time.monotonic()
        request = NextRequest(
            instance=self._instance,
            free=self._attempts.free,
            wait=self._fence.within(POLL_SECONDS),
            running=self._attempts.running,
        )
        answer = await self._unless_interrupted(self._client.next(request))
        if answer is not None and self._obey(answer) and answer.tasks:
            self._attempts.start(answer.tasks)
        elif time.monotonic() - asked < QUICK_SECONDS:
            await self._unless_interrupted(asyncio.sleep(QUICK_PAUSE_SECONDS))

    async def _beat(self) -> None:
        try:
            pause = self._fence.within(self._heartbeat_seconds * HEARTBEAT_SHARE)
            async with asyncio.timeout(pause):
                await self._attempts.changed.wait()
        except TimeoutError:
            body = HeartbeatRequest(instance=self._instance, running=self._attempts.running)
            answer = await self._unless_interrupted(self._client.heartbeat(body))
            if answer is not None:
                self._obey(answer)

    def _obey(self, directives: Directives) -> bool:
        """Do what the gateway asks for; False if it is not the one to ask any more."""
        if not self._term.accepts(directives.epoch):
            log("answer of an earlier leader ignored", logging.WARNING, epoch=directives.epoch)
            return False
        self._attempts.stop(directives.cancel, "cancelled")
        self._attempts.stop(directives.drop, "dropped")
        if directives.drain and not self._draining:
            log("draining", running=self._attempts.owned)
            self._draining = True
            self._attempts.changed.set()
        return True

    def _pump(self, ref: TaskRef) -> ProgressPump:
        return ProgressPump(self._client, self._instance, ref, self._obey)

    def _cut_off(self, why: str) -> None:
        if self._attempts.owned:
            log("work cancelled", logging.WARNING, why=why, running=self._attempts.owned)
            self._attempts.fence(why)

    def _session_lost(self) -> None:
        self._lost = True
        self._interrupted()

    def _interrupted(self) -> None:
        self._interrupt.set()
        self._attempts.changed.set()

    async def _unless_interrupted(self, call: Coroutine[None, None, Answer]) -> Answer | None:
        """Wait for a call; None if it had to give way to something more urgent."""
        calling = asyncio.ensure_future(call)
        interrupt = asyncio.ensure_future(self._interrupt.wait())
        try:
            await asyncio.wait({calling, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            if interrupt.done():
                self._interrupt.clear()
            return calling.result() if calling.done() else None
        finally:
            calling.cancel()
            interrupt.cancel()
            await asyncio.gather(calling, interrupt, return_exceptions=True)

    async def _leave(self) -> None:
        """Say goodbye; drained, stay until the pod is deleted."""
        said = False
        if not self._stop.is_set():
            said = bool(await self._unless_interrupted(self._goodbye(DRAINED_GOODBYE_SECONDS)))
            await self._stop.wait()
        if not said:
            await self._goodbye(GOODBYE_SECONDS)

    async def _goodbye(self, seconds: float) -> bool:
        """Say goodbye within so many seconds; False if it could not be said."""
        backoff = Backoff()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        await self._client.goodbye(GoodbyeRequest(instance=self._instance))
                    except GatewayError as error:
                        if isinstance(error, Refused) and error.status in FINAL:
                            return True
                        await asyncio.sleep(backoff.next())
                    else:
                        return True
        except TimeoutError:
            log("goodbye could not be said", logging.WARNING)
            return False
