"""What agents ask through the gateway: hello, polls and heartbeats.

Nothing here is a heartbeat written to the API server: an open poll is the sign of life. A task is
handed over only after its binding is written.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from agentcorps.api.protocol import PROTOCOL_VERSION, Directives, HelloResponse, NextResponse
from agentcorps.control.refusals import ProtocolError, unavailable
from agentcorps.control.tide import Tide
from agentcorps.control.verdicts import Verdicts, judge
from agentcorps.core.records import Session
from agentcorps.ports import ClusterError

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentcorps.api.protocol import (
        HeartbeatRequest,
        HelloRequest,
        NextRequest,
        TaskDelivery,
        TaskRef,
    )
    from agentcorps.control.deliveries import Deliveries
    from agentcorps.control.gatekeeper import Caller, Gatekeeper
    from agentcorps.control.kicks import Kicks
    from agentcorps.control.remembered import Remembered
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, PodIdentity

log = structlog.get_logger(__name__)


class AgentSessions:
    """The sessions of all agents with this leader."""

    def __init__(
        self,
        state: State,
        gatekeeper: Gatekeeper,
        deliveries: Deliveries,
        writes: TaskWrites,
        remembered: Remembered,
        clock: Clock,
        kicks: Kicks,
    ) -> None:
        """A hello wakes every loop; a poll only offers slots, and a thousand of them are open."""
        self._state = state
        self._gatekeeper = gatekeeper
        self._deliveries = deliveries
        self._writes = writes
        self._remembered = remembered
        self._clock = clock
        self._kicks = kicks
        self._tide = Tide()

    async def hello(self, identity: PodIdentity, body: HelloRequest) -> HelloResponse:
        """Open (or resume) the session of a process, and tell which attempts are not its own."""
        caller = await self._gatekeeper.admit(identity)
        if body.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                422,
                "ProtocolVersion",
                f"this gateway speaks version {PROTOCOL_VERSION} of the agent protocol",
            )
        now = self._clock.now()
        verdicts = await self._judge(caller, body.instance, body.running)
        if self._remembered.heard(now.monotonic):
            self._state.news.everything()  # from now on the others are waited for
        self._open(caller, body, now.monotonic)
        self._kicks.all()
        return HelloResponse(
            agent=caller.key.name,
            namespace=caller.key.namespace,
            heartbeat_seconds=caller.agent.heartbeat_seconds if caller.agent else 5,
            self_fence_seconds=caller.agent.self_fence_seconds if caller.agent else None,
            epoch=self._gatekeeper.epoch,
            cancel=verdicts.cancel,
            drop=verdicts.drop,
            drain=self._may_rest(caller, body.instance, body.running),
        )

    async def next(self, identity: PodIdentity, body: NextRequest) -> NextResponse | None:
        """Hold a poll until there is work or something to stop; None when neither came in time."""
        until = asyncio.get_running_loop().time() + body.wait
        while True:
            caller = await self._gatekeeper.admit(identity)
            # Checked again after each wait: another process of the pod may have said hello.
            self._gatekeeper.session(caller, body.instance)
            self._state.touch(caller.key, self._clock.now())
            ready = await self._answer(caller, body)
            left = until - asyncio.get_running_loop().time()
            if ready is not None or left <= 0 or not await self._wait(caller, body, left):
                return ready

    async def heartbeat(self, identity: PodIdentity, body: HeartbeatRequest) -> Directives:
        """A sign of life without an open poll; the answer tells what to stop."""
        caller = await self._gatekeeper.admit(identity)
        self._gatekeeper.session(caller, body.instance)
        self._state.touch(caller.key, self._clock.now())
        verdicts = await self._judge(caller, body.instance, body.running)
        return Directives(
            epoch=self._gatekeeper.epoch,
            cancel=verdicts.cancel,
            drop=verdicts.drop,
            drain=self._may_rest(caller, body.instance, body.running),
        )

    def _open(self, caller: Caller, body: HelloRequest, now: float) -> None:
        agent = caller.agent
        declared = agent.capabilities if agent else frozenset[str]()
        self._deliveries.open_box(caller.key, body.instance)
        self._state.open_session(
            Session(
                agent=caller.key,
                pod_uid=caller.pod.uid,
                instance=body.instance,
                slots=min(body.slots, agent.slots) if agent else 0,
                capabilities=declared & set(body.capabilities) if body.capabilities else declared,
                last_seen=now,
                self_fence_seconds=agent.self_fence_seconds if agent else None,
            )
        )
        log.info("agent said hello", agent=str(caller.key), running=len(body.running))

    async def _wait(self, caller: Caller, body: NextRequest, seconds: float) -> bool:
        """Keep a poll open; False when its time is over, or a newer poll took its place."""
        box = self._deliveries.open_box(caller.key, body.instance)
        poll = box.open()
        free = 0 if caller.must_drain else body.free
        self._state.open_poll(caller.key, free, self._clock.now())
        self._kicks.assign()
        latest = True
        try:
            woken = await self._tide.wait(poll, seconds)
        finally:
            latest = box.close(poll)
            if latest:
                self._state.close_poll(caller.key, self._clock.now())
        # Whatever comes for the agent wakes its poll: one that was not woken has nothing to say.
        return latest and woken

    async def _answer(self, caller: Caller, body: NextRequest) -> NextResponse | None:
        verdicts = await self._judge(caller, body.instance, body.running)
        try:
            tasks = await self._deliveries.collect(caller.key, body.instance, body.running)
        except ClusterError as error:
            raise unavailable() from error
        self._gatekeeper.require_leading()
        drain = self._may_rest(caller, body.instance, [*body.running, *tasks])
        if not tasks and not verdicts and not drain:
            return None
        return NextResponse(
            tasks=tasks,
            epoch=self._gatekeeper.epoch,
            cancel=verdicts.cancel,
            drop=verdicts.drop,
            drain=drain,
        )

    def _may_rest(
        self, caller: Caller, instance: str, known: Collection[TaskRef | TaskDelivery]
    ) -> bool:
        """Whether the agent is drained, and knows all that is bound to it.

        A drained agent without work says goodbye. What was bound to it a moment before, and is not
        written yet, would have to go to another one.
        """
        has = {(ref.uid, ref.attempt) for ref in known}
        return caller.must_drain and all(
            (record.uid, record.attempt) in has
            for record in self._state.bound_to(caller.key)
            if record.agent_instance == instance
        )

    async def _judge(self, caller: Caller, instance: str, running: Collection[TaskRef]) -> Verdicts:
        try:
            return await judge(self._state, self._writes, caller, instance, running)
        except ClusterError as error:
            raise unavailable() from error
