"""Handlers in processes of their own, and an agent that is a process itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agentcorps
from agentcorps.api.protocol import CompleteRequest, FailRequest, TaskRef
from support import sample_agent
from support.fake_gateway import FakeGateway, delivery, fake_gateway, until
from support.running_agent import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOTS = [Path(agentcorps.__file__).parents[1], Path(sample_agent.__file__).parents[1]]
MAX_IDLE_MIB = 48


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS."""
    async with fake_gateway() as one:
        yield one


@contextlib.asynccontextmanager
async def agent_process(gateway: FakeGateway) -> AsyncIterator[asyncio.subprocess.Process]:
    """The sample agent as its image would run it."""
    environ = {**os.environ, **gateway.environ(), "PYTHONPATH": ":".join(map(str, ROOTS))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentcorps.agent",
        "run",
        "support.sample_agent:agent",
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # gone before or while it is read
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def resident_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")
    )


async def test_process_returns_result_and_progress(gateway: FakeGateway, tmp_path: Path) -> None:
    """A handler in a process of its own gets its input, tells its progress and gives a result."""
    go = tmp_path / "go"
    async with running(sample_agent.agent, gateway):
        given = {"number": 12, "go": str(go)}
        gateway.sessions.push(delivery("a", requires=["square"], input=given))
        # Progress that has not left when the result is there is dropped: see it first.
        await until(lambda: gateway.sessions.bodies("progress"))
        go.touch()
        await until(lambda: gateway.sessions.reports)
    taken = gateway.sessions.reports["uid-a", 1][0]
    assert isinstance(taken, CompleteRequest)
    assert taken.result["square"] == 144
    assert taken.result["pid"] != os.getpid()
    assert not alive(taken.result["pid"])
    assert gateway.sessions.bodies("progress")[0].message == "computing"


async def test_process_failures_are_told(gateway: FakeGateway) -> None:
    """TaskError crosses the process border, and a process that just dies fails its attempt."""
    async with running(sample_agent.agent, gateway):
        gateway.sessions.push(delivery("a", requires=["refuse"]), delivery("b", requires=["crash"]))
        await until(lambda: len(gateway.sessions.reports) == 2)
    refused, died = (gateway.sessions.reports[f"uid-{name}", 1][0] for name in "ab")
    assert isinstance(refused, FailRequest)
    assert (refused.reason, refused.retryable) == ("NotToday", False)
    assert isinstance(died, FailRequest)
    assert (died.reason, died.retryable) == ("ProcessDied", True)
    assert died.message == "the handler's process ended with 3"


async def test_cancel_kills_the_process_and_what_it_started(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    """A cancelled attempt's process is killed with all that it started, and the slot is free."""
    file = tmp_path / "pids"
    async with running(sample_agent.agent, gateway):
        gateway.sessions.push(delivery("a", requires=["hang"], input={"file": str(file)}))
        await until(lambda: file.exists() and file.read_text().endswith("\n"))
        pids = [int(pid) for pid in file.read_text().split()]
        gateway.sessions.ask(cancel=(TaskRef(uid="uid-a", attempt=1),))
        await until(lambda: not any(alive(pid) for pid in pids))
        gateway.sessions.ask(cancel=(TaskRef(uid="uid-nothing", attempt=1),))
        await until(lambda: gateway.sessions.bodies("next")[-1].free == 2)
    assert not gateway.sessions.reports


async def test_sigterm_finishes_reports_and_exits(gateway: FakeGateway) -> None:
    """On SIGTERM an agent finishes what runs, reports it, says goodbye and exits with 0."""
    async with agent_process(gateway) as process:
        gateway.sessions.push(delivery("a", requires=["nap"], input={"note": "secret-word"}))
        await until(lambda: gateway.sessions.bodies("progress"))
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert [call.name for call in gateway.sessions.calls][-2:] == ["complete", "goodbye"]
    lines = [json.loads(line) for line in output.decode().splitlines()]
    assert [line["event"] for line in lines] == [
        "connected",
        "task started",
        "stopping",
        "task ended",
        "stopped",
    ]
    assert lines[3]["outcome"] == "completed"
    assert b"secret-word" not in output


async def test_killed_agent_leaves_no_process_behind(gateway: FakeGateway, tmp_path: Path) -> None:
    """With no time left at SIGTERM, the processes of unfinished attempts are killed."""
    file = tmp_path / "pids"
    async with running(sample_agent.agent, gateway, grace_seconds=0) as one:
        gateway.sessions.push(delivery("a", requires=["hang"], input={"file": str(file)}))
        await until(lambda: file.exists() and file.read_text().endswith("\n"))
        pids = [int(pid) for pid in file.read_text().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        one.stop.set()
        await one.task
    await until(lambda: not any(alive(pid) for pid in pids))


async def test_idle_agent_is_small(gateway: FakeGateway) -> None:
    """An idle agent, connected over TLS, stays under 48 MiB of resident memory."""
    async with agent_process(gateway) as process:
        await until(lambda: gateway.sessions.open_polls)
        assert resident_mib(process.pid) < MAX_IDLE_MIB
