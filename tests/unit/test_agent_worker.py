"""A running agent against the real gateway: what it does with tasks, directives and failures."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from agentcorps.agent import Agent, Context, TaskError, attempts
from agentcorps.api.protocol import CompleteRequest, FailRequest
from agentcorps.control.refusals import ProtocolError
from support.fake_gateway import FakeGateway, delivery, fake_gateway, until
from support.running_agent import gated, ref, report, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Numbers(BaseModel):
    """An input."""

    numbers: list[int]


class Total(BaseModel):
    """An output."""

    total: int


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS."""
    async with fake_gateway() as one:
        yield one


async def test_model_in_model_out(gateway: FakeGateway) -> None:
    """An async handler gets its input as a model, and its model becomes the result."""
    agent = Agent()

    @agent.task("add")
    async def add(given: Numbers) -> Total:
        return Total(total=sum(given.numbers))

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a", requires=["add"], input={"numbers": [1, 2]}))
        taken = await report(gateway, "a")
    assert isinstance(taken, CompleteRequest)
    assert taken.result == {"total": 3}


async def test_sync_handler_leaves_the_loop_free(gateway: FakeGateway) -> None:
    """While a sync handler blocks its thread, the agent goes on polling for its other slot."""
    agent, gate = Agent(slots=2), threading.Event()

    @agent.task()
    def block(_: dict[str, Any]) -> str:
        gate.wait()
        return "unblocked"

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: len(gateway.sessions.bodies("next")) > 1)
        gate.set()
        taken = await report(gateway, "a")
    poll = gateway.sessions.bodies("next")[1]
    assert (poll.free, poll.running) == (1, [ref("a")])
    assert isinstance(taken, CompleteRequest)
    assert taken.result == "unblocked"


async def test_failures_reach_the_task(gateway: FakeGateway) -> None:
    """TaskError, any other exception, bad input and a missing handler are told as such."""
    agent = Agent(slots=4)

    @agent.task("refuse")
    async def refuse(_: dict[str, Any]) -> None:
        raise TaskError("not today", reason="NotToday", retryable=False)

    @agent.task("stumble")
    def stumble(_: dict[str, Any]) -> None:
        raise SystemExit("secret words")

    @agent.task("add")
    async def add(given: Numbers) -> int:
        return sum(given.numbers)

    async with running(agent, gateway):
        gateway.sessions.push(
            delivery("refuse", requires=["refuse"]),
            delivery("stumble", requires=["stumble"]),
            delivery("add", requires=["add"], input={"numbers": "secret"}),
            delivery("other", requires=["other"]),
        )
        taken = {
            name: await report(gateway, name) for name in ("refuse", "stumble", "add", "other")
        }
    told = {
        name: (one.reason, one.retryable)
        for name, one in taken.items()
        if isinstance(one, FailRequest)
    }
    assert told == {
        "refuse": ("NotToday", False),
        "stumble": ("AgentError", True),
        "add": ("InputInvalid", False),
        "other": ("NoHandler", False),
    }
    assert "secret" not in str(taken)


async def test_progress_is_delivered(gateway: FakeGateway) -> None:
    """What a handler tells of its progress reaches the gateway, the last word included."""
    agent = Agent()

    @agent.task()
    async def work(_: dict[str, Any], ctx: Context) -> None:
        for percent in range(0, 100, 10):
            ctx.progress(percent, f"at {percent}")
        await until(lambda: gateway.sessions.bodies("progress")[-1:])

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await report(gateway, "a")
    told = gateway.sessions.bodies("progress")
    assert (told[-1].percent, told[-1].message) == (90, "at 90")
    assert len(told) < 10


async def test_cancel_stops_an_async_handler(gateway: FakeGateway) -> None:
    """A cancelled async handler is interrupted and cleans up; nothing is reported of it."""
    agent, cleaned = Agent(), asyncio.Event()

    @agent.task()
    async def sleep(_: dict[str, Any], ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            assert ctx.cancelled
            cleaned.set()

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: gateway.sessions.bodies("heartbeat"))
        gateway.sessions.ask(cancel=(ref("a"),))
        await cleaned.wait()
        await until(lambda: gateway.sessions.open_polls)
    assert gateway.sessions.bodies("next")[-1].running == []
    assert not gateway.sessions.reports


async def test_drop_flags_a_thread_and_keeps_its_slot(gateway: FakeGateway) -> None:
    """A thread whose attempt is dropped sees the flag; its slot is free when it has returned."""
    agent, seen, gate = Agent(slots=2), threading.Event(), threading.Event()

    @agent.task()
    def work(_: dict[str, Any], ctx: Context) -> str:
        ctx.wait_cancelled(60)
        seen.set()
        gate.wait()
        return "too late"

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: len(gateway.sessions.bodies("next")) > 1)
        gateway.sessions.ask(drop=(ref("a"),))
        await until(seen.is_set)
        await until(lambda: gateway.sessions.bodies("next")[-1].running == [])
        assert gateway.sessions.bodies("next")[-1].free == 1
        gate.set()
        gateway.sessions.ask(cancel=(ref("nothing"),))
        await until(lambda: gateway.sessions.bodies("next")[-1].free == 2)
    assert not gateway.sessions.reports


async def test_attempt_out_of_time_is_reported(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the operator's own timeout does not come, the agent ends the attempt by itself."""
    monkeypatch.setattr(attempts, "TIMEOUT_SLACK_SECONDS", 0.0)
    agent, _, started = gated()
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a", seconds=0.05))
        taken = await report(gateway, "a")
    assert isinstance(taken, FailRequest)
    assert taken.reason == "Timeout"
    assert started == ["a"]


async def test_never_more_than_its_slots(gateway: FakeGateway) -> None:
    """An agent asks for as many tasks as it has free slots."""
    agent, gate, started = gated(slots=2)
    async with running(agent, gateway):
        gateway.sessions.push(*(delivery(f"t{n}") for n in range(5)))
        await until(lambda: len(started) == 2)
        await until(lambda: gateway.sessions.bodies("heartbeat"))
        assert started == ["t0", "t1"]
        gate.set()
        await until(lambda: len(gateway.sessions.reports) == 5)


async def test_duplicate_delivery_runs_once(gateway: FakeGateway) -> None:
    """An attempt that is delivered again, while it runs or afterwards, runs once."""
    agent, gate, started = gated(slots=2)
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        await until(lambda: started)
        gateway.sessions.push(delivery("a"))
        await until(lambda: len(gateway.sessions.bodies("next")) > 2)
        gate.set()
        await report(gateway, "a")
        gateway.sessions.push(delivery("a"), delivery("a", attempt=2))
        await report(gateway, "a", attempt=2)
    assert started == ["a", "a"]
    assert len(gateway.sessions.reports["uid-a", 1]) == 1


async def test_result_is_sent_until_it_is_taken(gateway: FakeGateway) -> None:
    """A finished result outlives refusals that may pass, and is sent until one call succeeds."""
    agent, runs = Agent(), list[int]()

    @agent.task()
    async def once(_: dict[str, Any]) -> int:
        runs.append(1)
        return len(runs)

    gateway.sessions.refusals["complete"] = [
        ProtocolError(503, "NotLeading", "wait", 0.01),
        ProtocolError(429, "TooMany", "wait"),
        ProtocolError(401, "Unauthorized", "token"),
        RuntimeError("a bug in the operator"),
    ]
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        taken = await report(gateway, "a")
    assert isinstance(taken, CompleteRequest)
    assert taken.result == 1
    assert len(gateway.sessions.bodies("complete")) == 5


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_final_refusal_ends_the_attempt(gateway: FakeGateway, status: int) -> None:
    """A result that is not this agent's to give is thrown away, and its slot is free again."""
    agent, gate, _ = gated()
    gate.set()
    gateway.sessions.refusals["complete"] = [ProtocolError(status, "Stale", "not yours")]
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"), delivery("b"))
        await report(gateway, "b")
    assert len(gateway.sessions.bodies("complete")) == 2
    assert not gateway.sessions.bodies("fail")


@pytest.mark.parametrize(("status", "reason"), [(413, "ResultTooLarge"), (422, "ResultInvalid")])
async def test_result_that_cannot_be_taken_fails_the_task(
    gateway: FakeGateway, status: int, reason: str
) -> None:
    """A result that is too large or malformed becomes a failure that is not tried again."""
    agent, gate, _ = gated()
    gate.set()
    gateway.sessions.refusals["complete"] = [ProtocolError(status, "No", "over 65536 bytes")]
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        taken = await report(gateway, "a")
    assert isinstance(taken, FailRequest)
    assert (taken.reason, taken.message, taken.retryable) == (reason, "over 65536 bytes", False)


async def test_oversize_body_fails_the_task(gateway: FakeGateway) -> None:
    """A result over the gateway's own limit for bodies fails the Task as well."""
    agent = Agent()

    @agent.task()
    async def much(_: dict[str, Any]) -> str:
        return "x" * 1_000_000

    async with running(agent, gateway):
        gateway.sessions.push(delivery("a"))
        taken = await report(gateway, "a")
    assert isinstance(taken, FailRequest)
    assert taken.reason == "ResultTooLarge"


async def test_log_tells_each_end_and_no_payload(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Start and end of each attempt are logged with name and outcome, without payload."""
    agent = Agent()

    @agent.task()
    async def fail(given: dict[str, Any]) -> None:
        raise ValueError(given["word"])

    caplog.set_level("INFO", "agentcorps.agent")
    async with running(agent, gateway):
        gateway.sessions.push(delivery("a", input={"word": "secret-word"}))
        await report(gateway, "a")
    events = [record.getMessage() for record in caplog.records]
    assert events.index("task started") < events.index("task ended")
    fields = [getattr(record, "agentcorps_fields", {}) for record in caplog.records]
    assert {"task": "default/a", "uid": "uid-a", "attempt": 1, "outcome": "AgentError"}.items() <= (
        fields[events.index("task ended")].items()
    )
    assert "secret-word" not in json.dumps(fields)
