"""Status writes follow what people wait for, not the traffic of tasks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.coalescing import Change, agent_status_change, pool_status_change


def _status(phase: str = "Idle", ready: str = "True", **fields: Any) -> dict[str, Any]:
    """Return a status, of an idle and ready agent unless the arguments differ."""
    flags = {"Ready": ready, "Reconciling": "False", "Stalled": "False"}
    return {
        "observedGeneration": 1,
        "phase": phase,
        "tasksSucceeded": 0,
        "slotsUsed": 0,
        "conditions": [{"type": kind, "status": value} for kind, value in flags.items()],
        **fields,
    }


def _due(old: dict[str, Any], new: dict[str, Any], before: Change | None = None) -> float:
    """Return when the new status is due, at second 100."""
    change = agent_status_change(old, new, before, 100.0)
    assert change is not None
    return change.due


def test_nothing_new_is_nothing_to_write() -> None:
    """An equal status is never written, and a heartbeat alone does not make it differ."""
    old = _status(lastHeartbeatTime="2026-11-01T00:00:00Z")
    new = _status(lastHeartbeatTime="2026-11-02T00:00:00Z")
    assert agent_status_change(old, new, None, 1e9) is None
    assert pool_status_change({"replicas": 1}, {"replicas": 1}, None, 1e9) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, _status()),
        (_status(), _status("Unhealthy", ready="False")),
        (_status("Starting", ready="False"), _status()),
        (_status(), _status(observedGeneration=2)),
    ],
)
def test_readiness_is_written_at_once(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A change of readiness, a new generation, and a first status that says ready do not wait."""
    assert _due(old, new) == 100.0


def _setting_out(**flags: str) -> dict[str, Any]:
    """Return the status of an agent that was created a moment ago."""
    kinds = {"Ready": "False", "Reconciling": "True", "Stalled": "False", **flags}
    conditions = [{"type": kind, "status": value} for kind, value in kinds.items()]
    return _status("Pending", conditions=conditions)


def test_who_is_ready_soon_gets_one_status() -> None:
    """The first status waits five seconds while all goes well, steps meanwhile or not."""
    default = {"observedGeneration": -1, "phase": "Pending"}
    change = agent_status_change(default, _setting_out(), None, 100.0)
    starting = {**_setting_out(), "phase": "Starting"}
    change = agent_status_change(default, starting, change, 104.0)
    assert change is not None
    assert change.due == 105.0
    ready = agent_status_change(default, _status(), change, 104.5)
    assert ready is not None
    assert ready.due == 104.5


@pytest.mark.parametrize("flag", ["Stalled", "Healthy", "Draining"])
def test_trouble_shows_in_a_first_status_at_once(flag: str) -> None:
    """Nobody waits for the first status of an agent that cannot start, or leaves already."""
    status = "False" if flag == "Healthy" else "True"
    assert _due({"phase": "Pending"}, _setting_out(**{flag: status})) == 100.0


def test_failures_are_written_at_once() -> None:
    """A failure is written at once even where the agent was not ready before."""
    failed = _status("Failed", ready="False")
    failed["conditions"][2] = {"type": "Stalled", "status": "True"}
    assert _due(_status("Starting", ready="False"), failed) == 100.0


def test_steps_wait_a_second() -> None:
    """A step on the way to readiness is written only if the next one takes its time."""
    old, new = _status("Pending", ready="False"), _status("Starting", ready="False")
    assert _due(old, new) == 101.0


def test_work_shows_after_five_seconds() -> None:
    """Idle to Busy is due five seconds after the phase began, and not sooner for its counters."""
    idle, busy = _status(), _status("Busy", slotsUsed=1)
    first = agent_status_change(idle, busy, None, 100.0)
    assert first is not None
    assert first.due == 105.0
    later = agent_status_change(idle, busy, first, 104.0)
    assert later is not None
    assert later.due == 105.0


def test_short_tasks_do_not_show() -> None:
    """A phase that is interrupted begins its five seconds anew."""
    idle, busy, done = _status(), _status("Busy"), _status(tasksSucceeded=1)
    change = agent_status_change(idle, busy, None, 100.0)
    change = agent_status_change(idle, done, change, 103.0)
    change = agent_status_change(idle, _status("Busy", tasksSucceeded=1), change, 104.0)
    assert change is not None
    assert change.due == 109.0


def test_counters_wait_a_minute() -> None:
    """A counter is due a minute after it first differed, whatever else it counts till then."""
    change = agent_status_change(_status(), _status(tasksSucceeded=1), None, 100.0)
    change = agent_status_change(_status(), _status(tasksSucceeded=9), change, 150.0)
    assert change is not None
    assert change.due == 160.0


def test_numbers_of_a_pool_wait_a_second() -> None:
    """A pool's numbers are due a second after they first differed, its conditions at once."""
    old, new = _status(queuedTasks=1), _status(queuedTasks=2)
    first = pool_status_change(old, new, None, 100.0)
    assert first is not None
    assert first.due == 101.0
    second = pool_status_change(old, _status(queuedTasks=3), first, 100.9)
    assert second is not None
    assert second.due == 101.0
    third = pool_status_change(old, _status(ready="False"), second, 100.95)
    assert third is not None
    assert third.due == 100.95


_TRAFFIC = st.lists(
    st.tuples(st.sampled_from(["Idle", "Busy"]), st.integers(0, 3), st.floats(0.1, 20)),
    max_size=60,
)


@given(_TRAFFIC)
def test_traffic_is_written_seldom_and_never_forgotten(
    traffic: list[tuple[str, int, float]],
) -> None:
    """Under any traffic, writes are 5 s or more apart, due in time, and none is left out."""
    stored = _status()
    computed = stored
    change: Change | None = None
    now, written, done, differs = 0.0, -1e9, 0, 0.0
    for phase, finished, seconds in traffic:
        done += finished
        computed = _status(phase, tasksSucceeded=done)
        if change is None:
            differs = now
        change = agent_status_change(stored, computed, change, now)
        assert (change is None) == (computed == stored)
        if change is not None:
            assert change.due <= differs + 60.0
        if change is not None and change.due <= now + seconds:
            at = max(now, change.due)
            assert at - written >= 5.0
            stored, written, change = computed, at, None
        now += seconds
    assert change is not None or computed == stored
