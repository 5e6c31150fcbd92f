"""Driving the control room as agents do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentcorps.api.protocol import CompleteRequest, FailRequest, NextResponse, TaskRef
from agentcorps.core import wire
from agentcorps.ports import Kind, PodIdentity
from support.control_room import INSTANCE, ControlRoom


@asynccontextmanager
async def assigning(room: ControlRoom) -> AsyncIterator[None]:
    """Run the assignment loop, as the operator does."""
    loop = asyncio.create_task(room.assign_loop.run())
    try:
        yield
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await room.writes.drain()


@asynccontextmanager
async def polling(
    room: ControlRoom, who: PodIdentity, *running: TaskRef
) -> AsyncIterator[asyncio.Task[NextResponse | None]]:
    """Run the assignment loop with an open poll of an agent; yield what becomes its answer."""
    async with assigning(room):
        poll = asyncio.create_task(room.poll(who, *running, wait=30))
        await asyncio.sleep(0.01)
        yield poll


async def bound(room: ControlRoom, who: PodIdentity, instance: str = INSTANCE) -> TaskRef:
    """Poll until a task arrives; return its attempt."""
    async with assigning(room):
        answer = await room.poll(who, instance=instance)
    assert answer is not None
    return TaskRef(uid=answer.tasks[0].uid, attempt=answer.tasks[0].attempt)


def result(value: object = 3, instance: str = INSTANCE) -> CompleteRequest:
    """Return a report of success."""
    return CompleteRequest(instance=instance, result=value)


def failure(reason: str = "AgentError", *, retryable: bool = True) -> FailRequest:
    """Return a report of failure."""
    return FailRequest(instance=INSTANCE, reason=reason, message="no luck", retryable=retryable)


def adopt(room: ControlRoom) -> None:
    """Let a new leader list what there is."""
    for (kind, _), body in list(room.cluster.objects.items()):
        match kind:
            case Kind.TASK:
                room.observer.task_event("ADDED", wire.task_record(body))
            case Kind.POD:
                room.observer.pod_event("ADDED", wire.pod_record(body))
            case Kind.AGENT:
                room.observer.agent_event("ADDED", body)
            case Kind.POOL:
                room.observer.pool_event("ADDED", body)
            case Kind.SECRET | Kind.CONFIG_MAP:
                continue
            case Kind.QUOTA:
                room.observer.quota_event("ADDED", body)
