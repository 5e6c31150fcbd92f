"""An agent that hears nothing of the gateway stops its work where it was told to, and says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agentcorps.agent import Agent
from agentcorps.agent.fence import Fence
from agentcorps.api.protocol import CompleteRequest, FailRequest
from support.fake_gateway import FakeGateway, delivery, fake_gateway, until
from support.running_agent import gated, report, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS."""
    async with fake_gateway() as one:
        yield one


async def test_a_cut_off_agent_cancels_its_work(gateway: FakeGateway) -> None:
    """After selfFenceSeconds without an answer the handler is cancelled; the loss is told later."""
    agent, events = Agent(), list[str]()

    @agent.task()
    async def work(_: dict[str, Any]) -> None:
        events.append("started")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("stopped")

    gateway.sessions.self_fence_seconds = 1
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: events)
        await gateway.stop()
        await until(lambda: "stopped" in events)
        await gateway.start()
        taken = await report(gateway, "a")
    assert isinstance(taken, FailRequest)
    assert (taken.reason, taken.retryable) == ("AgentLost", True)
    assert "selfFenceSeconds" in taken.message


async def test_an_agent_that_is_heard_works_on(gateway: FakeGateway) -> None:
    """Heartbeats and polls come so often that a living gateway never trips the fence."""
    agent, gate, started = gated(slots=2)
    gateway.sessions.self_fence_seconds = 1
    gateway.sessions.heartbeat_seconds = 300
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"), delivery("b"))
        await until(lambda: len(started) == 2)
        await until(lambda: len(gateway.sessions.bodies("heartbeat")) > 6)
        gate.set()
        assert isinstance(await report(gateway, "a"), CompleteRequest)


async def test_without_a_fence_the_work_goes_on(gateway: FakeGateway) -> None:
    """An agent that was told no fence keeps its work and its result, however long it is alone."""
    agent, gate, started = gated()
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        await gateway.stop()
        gate.set()
        await gateway.start()
        assert isinstance(await report(gateway, "a"), CompleteRequest)


def test_a_fence_shortens_the_pauses_between_two_answers() -> None:
    """A third of its time is the longest that is done without an answer."""
    fence = Fence(lambda: 0.0, lambda _: None)
    assert fence.within(30) == 30
    fence.set(15)
    assert (fence.within(30), fence.within(2)) == (5, 2)
