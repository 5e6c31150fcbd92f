"""An agent's session with its gateway: hello, reconnects, tokens, SIGTERM and draining."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentcorps.agent import Agent
from agentcorps.api.protocol import CompleteRequest
from support.fake_gateway import POD, FakeGateway, delivery, fake_gateway, until
from support.running_agent import gated, ref, report, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS."""
    async with fake_gateway() as one:
        yield one


async def test_hello_tells_what_the_agent_can_do(gateway: FakeGateway) -> None:
    """Hello carries slots and the handlers' capabilities, or none with a default handler."""
    agent = Agent(slots=3, capabilities=["gpu"])
    agent.task("one")(lambda given: given)
    async with running(agent, gateway):
        await until(lambda: gateway.sessions.open_polls)
    agent.task()(lambda given: given)
    async with running(agent, gateway):
        await until(lambda: gateway.sessions.open_polls)
    first, second = gateway.sessions.bodies("hello")
    assert (first.slots, first.capabilities) == (3, ["gpu", "one"])
    assert second.capabilities == []
    assert first.instance != second.instance


async def test_busy_agent_sends_heartbeats(gateway: FakeGateway) -> None:
    """With all slots busy there is no poll, and heartbeats carry what runs."""
    agent, gate, _ = gated()
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: len(gateway.sessions.bodies("heartbeat")) > 1)
        assert gateway.sessions.open_polls == 0
        gate.set()
        await report(gateway, "a")
    assert gateway.sessions.bodies("heartbeat")[0].running == [ref("a")]


async def test_running_work_survives_a_new_gateway(gateway: FakeGateway) -> None:
    """When the gateway is replaced, the agent says hello with what runs, and that gets finished."""
    agent, gate, started = gated(slots=2)
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        await gateway.stop()
        gateway.sessions.epoch = 2
        await gateway.start()
        await until(lambda: len(gateway.sessions.bodies("hello")) > 1)
        gate.set()
        taken = await report(gateway, "a")
    assert isinstance(taken, CompleteRequest)
    assert gateway.sessions.bodies("hello")[1].running == [ref("a")]
    assert started == ["a"]


async def test_result_waits_for_the_new_hello(gateway: FakeGateway) -> None:
    """An agent whose report meets an unknown session says hello and reports again."""
    agent, gate, started = gated()
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        gateway.sessions.instance = None
        gate.set()
        await report(gateway, "a")
    assert len(gateway.sessions.bodies("hello")) == 2


async def test_lower_epoch_is_ignored(gateway: FakeGateway) -> None:
    """Work handed out by a leader that has a successor is not begun."""
    agent, gate, started = gated(slots=2)
    gate.set()
    gateway.sessions.epoch = 5
    async with running(agent, gateway):
        await until(lambda: gateway.sessions.open_polls)
        gateway.sessions.epoch = 4
        gateway.sessions.push(delivery("old"))
        await until(lambda: len(gateway.sessions.bodies("next")) > 1)
        gateway.sessions.epoch = 5
        gateway.sessions.push(delivery("new"))
        await report(gateway, "new")
    assert started == ["new"]


async def test_new_token_is_picked_up(gateway: FakeGateway) -> None:
    """A token that the kubelet replaced is used without a restart."""
    agent, gate, _ = gated()
    gate.set()
    async with running(agent, gateway):
        await until(lambda: gateway.sessions.open_polls)
        gateway.identities.tokens = {"a-newer-token": POD}
        gateway.token_file.write_text("a-newer-token\n")
        gateway.sessions.push(delivery("a"))
        await report(gateway, "a")
    assert gateway.identities.asked[-1] == "a-newer-token"


async def test_refused_token_is_tried_again(gateway: FakeGateway) -> None:
    """With an expired token the agent waits and reads the file again instead of giving up."""
    agent, gate, _ = gated()
    gate.set()
    gateway.token_file.write_text("expired")
    async with running(agent, gateway):
        await until(lambda: gateway.identities.asked)
        gateway.token_file.write_text("a-good-token")
        gateway.sessions.push(delivery("a"))
        await report(gateway, "a")
    assert gateway.identities.asked[0] == "expired"


async def test_waits_for_a_token_file(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that has looked for its token in vain looks again, and then works."""
    agent, gate, _ = gated()
    gate.set()
    gateway.token_file.unlink()

    def looked_in_vain() -> bool:
        fields = [getattr(record, "agentcorps_fields", {}) for record in caplog.records]
        return any("FileNotFoundError" in one.get("error", "") for one in fields)

    async with running(agent, gateway):
        await until(looked_in_vain)
        assert gateway.identities.asked == []
        gateway.token_file.write_text("a-good-token")
        gateway.sessions.push(delivery("a"))
        await report(gateway, "a")
    assert set(gateway.identities.asked) == {"a-good-token"}


async def test_stop_finishes_what_runs(gateway: FakeGateway) -> None:
    """On SIGTERM the poll is closed, what runs is finished and reported, then comes goodbye."""
    agent, gate, started = gated(slots=2)
    async with running(agent, gateway) as one:
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        await until(lambda: gateway.sessions.open_polls)
        one.stop.set()
        await until(lambda: gateway.sessions.withdrawn)
        gateway.sessions.push(delivery("b"))
        gate.set()
        await one.task
    assert [call.name for call in gateway.sessions.calls][-2:] == ["complete", "goodbye"]
    assert started == ["a"]


async def test_stop_gives_back_what_does_not_finish(gateway: FakeGateway) -> None:
    """After the grace time the work is cancelled and not reported; goodbye gives it back."""
    agent, _, started = gated()
    async with running(agent, gateway, grace_seconds=0.05) as one:
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        one.stop.set()
        await one.task
    assert gateway.sessions.calls[-1].name == "goodbye"
    assert not gateway.sessions.reports


async def test_stop_without_a_gateway(gateway: FakeGateway) -> None:
    """An agent that cannot reach the gateway still ends when it is told to."""
    agent, _, _ = gated()
    await gateway.stop()
    async with running(agent, gateway) as one:
        await asyncio.sleep(0)
        one.stop.set()
        await one.task
    assert not gateway.sessions.calls


async def test_drained_agent_stays_idle(gateway: FakeGateway) -> None:
    """A drained agent finishes, says goodbye and stays, silent, until it is stopped."""
    agent, gate, started = gated(slots=2)
    async with running(agent, gateway) as one:
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        gateway.sessions.ask(drain=True)
        await until(lambda: gateway.sessions.bodies("heartbeat"))
        gateway.sessions.push(delivery("b"))
        gate.set()
        await until(lambda: gateway.sessions.bodies("goodbye"))
        said = len(gateway.sessions.calls)
        assert not one.task.done()
        one.stop.set()
        await one.task
    assert len(gateway.sessions.calls) == said
    assert started == ["a"]


async def test_agent_without_functions_does_not_start(gateway: FakeGateway) -> None:
    """An agent that could do nothing says so at once."""
    with pytest.raises(RuntimeError, match=r"register a function with @agent\.task"):
        await Agent().serve(gateway.settings(), asyncio.Event())
