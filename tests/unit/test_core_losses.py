"""Why an attempt was lost: by eviction, by a death, or out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.actions import Requeue
from agentcorps.core.health import lost_tasks, next_due
from agentcorps.core.records import Key
from support.fleet import EPOCH, NAMESPACE, Fleet

KEY = Key(NAMESPACE, "crew-0")
FIRST_HELLO = 1_000.0


def _lost(fleet: Fleet) -> list[Requeue]:
    """Return the lost tasks."""
    return lost_tasks(fleet.state, fleet.now, FIRST_HELLO)


def _busy_fleet() -> Fleet:
    """Return a fleet whose one agent is heard and runs a task."""
    fleet = Fleet()
    fleet.ready_agent()
    fleet.task(KEY)
    return fleet


@pytest.mark.parametrize(
    ("pod", "loss"),
    [
        ({}, ("AgentLost", True, False, "its pod is gone")),
        (
            {"disruption": "EvictionByEvictionAPI"},
            ("Evicted", False, False, "its pod is gone: EvictionByEvictionAPI"),
        ),
        (
            {"exited_at": EPOCH + 1_001, "exit_cause": "OOMKilled (exit code 137)"},
            ("AgentLost", True, True, "its pod is gone after OOMKilled (exit code 137)"),
        ),
        (
            {"exited_at": EPOCH + 1_000, "exit_cause": "Error (exit code 1)"},
            ("AgentLost", True, False, "its pod is gone"),
        ),
    ],
    ids=["unknown", "evicted", "died", "died before the binding"],
)
@pytest.mark.parametrize("ended", [False, True], ids=["gone", "ended"])
def test_the_last_words_of_a_pod_tell_whose_fault_its_end_was(
    pod: dict[str, Any], loss: tuple[str, bool, bool, str], *, ended: bool
) -> None:
    """An eviction is nobody's failure, a death in the attempt counts as a crash of the task."""
    fleet = _busy_fleet()
    if ended:
        fleet.change_pod(KEY, phase="Failed", terminated=True, **pod)
    else:
        fleet.change_pod(KEY, deleting=True, **pod)
        assert _lost(fleet) == []
        fleet.state.forget_pod(KEY)
    reason, counted, crashed, cause = loss
    cause = cause.replace("is gone", "has ended") if ended else cause
    message = f"agent crew-0: {cause}"
    assert _lost(fleet) == [Requeue("task-1", 1, reason, message, counted, crashed)]


def test_what_is_known_of_gone_pods_is_forgotten_with_their_tasks() -> None:
    """A pod without tasks leaves no trace, and one with tasks only until they are taken back."""
    fleet = _busy_fleet()
    gone = fleet.state.pods[KEY].uid
    fleet.state.forget_pod(KEY)
    assert fleet.state.departed.get(gone) is not None
    fleet.state.forget_task("task-1")
    fleet.pod(fleet.state.agents[KEY])
    fleet.state.forget_pod(KEY)
    assert fleet.state.departed.get(gone) is None


@given(fence=st.integers(15, 3600))
def test_tasks_of_a_fenced_agent_wait_until_it_must_have_stopped(fence: int) -> None:
    """Out of reach, a task is bound again selfFenceSeconds + 15 after the silence, not before."""
    fleet = Fleet()
    agent = fleet.agent(self_fence_seconds=fence)
    fleet.pod(agent)
    fleet.hello(KEY, self_fence_seconds=fence)
    fleet.task(KEY)
    fleet.change_pod(KEY, deleting=True)
    fleet.seconds += 15 + fence + 15 - 1
    assert _lost(fleet) == []
    assert next_due(fleet.state, fleet.now, FIRST_HELLO) == pytest.approx(fleet.seconds + 1)
    fleet.seconds += 1
    assert [requeue.counted for requeue in _lost(fleet)] == [True]
