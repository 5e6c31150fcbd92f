"""Small parts of the SDK: settings, pauses, terms, the context and the command line."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.agent import Agent, Context
from agentcorps.agent.backoff import Backoff
from agentcorps.agent.cli import load, run
from agentcorps.agent.context import TaskInfo
from agentcorps.agent.errors import SettingsError
from agentcorps.agent.settings import Settings
from agentcorps.agent.term import PATIENCE_SECONDS, Term
from support.fake_gateway import delivery

URL = "https://agentcorps-gateway.agentcorps-system.svc:8443"


def context(told: list[tuple[int | None, str]] | None = None) -> Context:
    """A context that keeps what it is told."""
    said = [] if told is None else told
    info = TaskInfo.of(delivery("a", seconds=10))
    return Context(info, lambda percent, message: said.append((percent, message)))


def test_settings_have_the_operators_defaults() -> None:
    """The gateway's address is all that must be set; the rest is where the operator puts it."""
    assert Settings.from_environ({"AGENTCORPS_GATEWAY_URL": URL + "/"}) == Settings(
        gateway_url=URL,
        ca=None,
        token_file=Path("/var/run/secrets/agentcorps.dev/token"),
        grace_seconds=25.0,
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "AGENTCORPS_GATEWAY_URL is not set; the operator sets it in agent pods"),
        ({"AGENTCORPS_GATEWAY_URL": "http://x"}, "AGENTCORPS_GATEWAY_URL must be an https://"),
        ({"AGENTCORPS_GATEWAY_URL": "https://"}, "AGENTCORPS_GATEWAY_URL must be an https://"),
        (
            {"AGENTCORPS_GATEWAY_URL": URL, "AGENTCORPS_GRACE_SECONDS": "-1"},
            "AGENTCORPS_GRACE_SECONDS must be a number of seconds, 0 or more",
        ),
        (
            {"AGENTCORPS_GATEWAY_URL": URL, "AGENTCORPS_GRACE_SECONDS": "nan"},
            "AGENTCORPS_GRACE_SECONDS must be a number",
        ),
    ],
)
def test_bad_settings_are_named(environ: dict[str, str], message: str) -> None:
    """A setting that is missing or wrong is named in one line."""
    with pytest.raises(SettingsError, match=message):
        Settings.from_environ(environ)


def test_run_without_environment_ends_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started outside of a pod, an agent ends with a line that says what is missing."""
    monkeypatch.delenv("AGENTCORPS_GATEWAY_URL", raising=False)
    with pytest.raises(SystemExit, match="agentcorps: AGENTCORPS_GATEWAY_URL is not set"):
        Agent().run()


@given(st.integers(1, 200), st.none() | st.floats(0, 3600))
def test_pauses_stay_in_range(failures: int, asked: float | None) -> None:
    """A pause lasts as long as the gateway asks for, and at most 5 s longer."""
    backoff = Backoff()
    pauses = [backoff.next(asked) for _ in range(failures)]
    assert all((asked or 0) + 0.1 <= pause <= (asked or 0) + 5 for pause in pauses)


def test_pauses_start_again_after_success() -> None:
    """After a success the first pause is short again."""
    backoff = Backoff()
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.2


def test_lower_epochs_are_ignored() -> None:
    """An answer of a leader that has a successor counts for nothing."""
    term = Term()
    assert term.accepts(3)
    assert not term.accepts(2)
    assert term.accepts(3)
    assert term.accepts(4)


def test_a_lease_that_starts_again_is_believed_in_the_end() -> None:
    """When hello is answered with lower epochs for a minute, the Lease was made anew."""
    term = Term()
    assert term.accepts_hello(7, 0.0)
    assert not term.accepts_hello(0, 10.0)
    assert not term.accepts_hello(0, 10.0 + PATIENCE_SECONDS - 1)
    assert term.accepts_hello(0, 10.0 + PATIENCE_SECONDS)
    assert term.accepts(0)


def test_one_answer_of_the_current_leader_ends_the_doubt() -> None:
    """An earlier leader is not believed when the current one was heard in between."""
    term = Term()
    assert term.accepts_hello(7, 0.0)
    assert not term.accepts_hello(6, 10.0)
    assert term.accepts_hello(7, 11.0)
    assert not term.accepts_hello(6, 10.0 + PATIENCE_SECONDS)


def test_progress_never_fails_the_work() -> None:
    """Shares outside of 0 to 100 and long texts are cut, not refused."""
    told: list[tuple[int | None, str]] = []
    ctx = context(told)
    ctx.progress(-5)
    ctx.progress(49.6, "half")
    ctx.progress(1e9, "x" * 5000)
    ctx.progress(message="only words")
    assert [percent for percent, _ in told] == [0, 50, 100, None]
    assert max(len(message) for _, message in told) == 1024


def test_no_progress_after_cancellation() -> None:
    """What a cancelled handler still says is not sent on."""
    told: list[tuple[int | None, str]] = []
    ctx = context(told)
    ctx.cancel()
    ctx.progress(50)
    assert told == []


def test_context_tells_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The context names the attempt and counts its time down to 0, never below."""
    ctx = context()
    assert (ctx.name, ctx.namespace, ctx.uid, ctx.attempt) == ("a", "default", "uid-a", 1)
    assert 0 < ctx.remaining_seconds <= 10
    late = time.monotonic() + 100
    monkeypatch.setattr(time, "monotonic", lambda: late)
    assert ctx.remaining_seconds == 0


async def test_until_cancelled_wakes_from_another_thread() -> None:
    """A coroutine that waits for its cancellation is woken, wherever that comes from."""
    ctx = context()
    waiting = asyncio.create_task(ctx.until_cancelled())
    await asyncio.sleep(0)
    thread = threading.Thread(target=ctx.cancel)
    thread.start()
    await waiting
    thread.join()
    await ctx.until_cancelled()
    assert ctx.cancelled


def test_wait_cancelled_ends_early() -> None:
    """A thread's sleep ends when its attempt is cancelled."""
    ctx = context()
    assert not ctx.wait_cancelled(0)
    threading.Timer(0.01, ctx.cancel).start()
    assert ctx.wait_cancelled(60)


def test_load_finds_the_agent() -> None:
    """MODULE:ATTR names an Agent object."""
    assert isinstance(load("support.sample_agent:agent"), Agent)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("app", "'app' is not MODULE:ATTR"),
        ("no_such_module_here:agent", "there is no module 'no_such_module_here'"),
        ("support.sample_agent:nap", "support.sample_agent:nap is not an Agent"),
        ("support.sample_agent:nothing", "support.sample_agent:nothing is not an Agent"),
    ],
)
def test_load_says_what_is_wrong(target: str, message: str) -> None:
    """A target that is not there ends with one line that names it."""
    with pytest.raises(SystemExit, match=message):
        load(target)


def test_command_runs_the_named_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """``agentcorps-agent run MODULE:ATTR`` gets as far as asking for the settings."""
    monkeypatch.setattr(sys, "argv", ["agentcorps-agent", "run", "support.sample_agent:agent"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("AGENTCORPS_GATEWAY_URL", raising=False)
    with pytest.raises(SystemExit, match="AGENTCORPS_GATEWAY_URL is not set"):
        run()
