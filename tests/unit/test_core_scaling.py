"""Pools reach the number of agents that was asked for, without disturbing those that work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.records import Key
from agentcorps.core.scaling import (
    DEFAULT_DRAIN_SECONDS,
    OVERDUE_SECONDS,
    SPARE_REPLACEMENTS,
    at_rest,
    next_due,
    replicas,
)
from support.fleet import NAMESPACE, POOL, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterable


def _key(number: int) -> Key:
    """Return the key of one of the pool's agents."""
    return Key(NAMESPACE, f"crew-{number}")


def _step(fleet: Fleet) -> list[CreateAgent | Drain | DeleteAgent]:
    """Return one decision about the pool."""
    return replicas(fleet.state, POOL, fleet.now, first_hello=0.0)


def _left(actions: Iterable[object]) -> list[str]:
    """Return the names of the agents that leave, in order."""
    return [action.agent.name for action in actions if isinstance(action, Drain | DeleteAgent)]


def test_missing_agents_get_the_lowest_free_names() -> None:
    """New agents take the lowest numbers, past every Agent and Pod that still bears a name."""
    fleet = Fleet()
    fleet.pool(replicas=5)
    fleet.ready_agent("crew-1")
    fleet.agent("crew-2", deleting=True)
    gone = fleet.agent("crew-0")
    fleet.pod(gone, deleting=True)
    fleet.state.forget_agent(gone.key)
    assert _step(fleet) == [CreateAgent(POOL, f"crew-{number}") for number in (3, 4, 5, 6)]


def test_agents_that_cannot_start_count() -> None:
    """A template that cannot start does not get more agents than were asked for."""
    fleet = Fleet()
    fleet.pool(replicas=2)
    for number in range(2):
        fleet.pod(fleet.agent(f"crew-{number}"), waiting_reason="ImagePullBackOff")
    fleet.seconds += 3600
    assert _step(fleet) == []


def test_unready_then_idle_then_busy_agents_leave() -> None:
    """Scale-down takes what is not ready first, then what is idle, and what works last."""
    fleet = Fleet()
    for number in range(6):
        agent = fleet.agent(f"crew-{number}")
        if number != 1:
            fleet.pod(agent)
        if number not in {1, 3}:
            fleet.hello(agent.key)
        fleet.seconds += 1
    fleet.task(_key(5))
    for left, expected in ((5, "3"), (4, "31"), (3, "314"), (2, "3142"), (0, "314205")):
        fleet.pool(replicas=left)
        assert _left(_step(fleet)) == [f"crew-{number}" for number in expected]


def test_agents_that_keep_sessions_go_after_those_that_keep_none() -> None:
    """Of idle agents those go first that served no affinity key last, then by number of keys."""
    fleet = Fleet()
    for number in range(4):
        fleet.ready_agent(f"crew-{number}")
        fleet.seconds += 1
    served = {3: ["a", "b"], 2: ["c"], 0: ["d"]}
    for number, keys in served.items():
        for key in keys:
            fleet.task(_key(number), key, affinity_key=key)
    fleet.task(_key(1), "e", affinity_key="d")
    for key in "abcde":
        done = TaskPhase.SUCCEEDED
        record = replace(fleet.state.tasks[key], phase=done, resource_version=fleet.version())
        fleet.state.observe_task(record, fleet.now)
    fleet.pool(replicas=0)
    assert _left(_step(fleet)) == ["crew-0", "crew-2", "crew-1", "crew-3"]


def test_a_new_pod_of_an_old_name_keeps_nothing() -> None:
    """What an earlier pod of the same name served is lost already."""
    fleet = Fleet()
    for number in range(2):
        fleet.ready_agent(f"crew-{number}")
    record = fleet.task(_key(1), affinity_key="a")
    record = replace(record, phase=TaskPhase.SUCCEEDED, resource_version=fleet.version())
    fleet.state.observe_task(record, fleet.now)
    fleet.pool(replicas=1)
    assert _left(_step(fleet)) == ["crew-0"]
    fleet.state.forget_pod(_key(1))
    fleet.pod(fleet.state.agents[_key(1)])
    fleet.hello(_key(1))
    assert _left(_step(fleet)) == ["crew-1"]


def test_higher_numbers_go_first_among_agents_of_one_age() -> None:
    """Of agents made at the same second, those with the highest number go first."""
    fleet = Fleet()
    for number in (2, 10, 9):
        fleet.ready_agent(f"crew-{number}")
    fleet.pool(replicas=1)
    assert _left(_step(fleet)) == ["crew-10", "crew-9"]


def test_bound_tasks_of_an_unheard_agent_make_it_busy() -> None:
    """After a takeover, an agent that runs a task is busy before it says hello again."""
    fleet = Fleet()
    for number in range(2):
        fleet.pod(fleet.agent(f"crew-{number}"))
    fleet.task(_key(1))
    fleet.pool(replicas=1)
    assert _left(_step(fleet)) == ["crew-0"]


def test_drained_agents_are_deleted_as_they_were_written() -> None:
    """A draining agent with nothing bound is deleted, fenced by the version that says Draining."""
    fleet = Fleet()
    fleet.pool(replicas=0)
    fleet.ready_agent()
    running = fleet.task(_key(0))
    assert _step(fleet) == [Drain(_key(0), "ScaledDown")]
    record = fleet.drain(_key(0))
    done = replace(running, phase=TaskPhase.SUCCEEDED, resource_version=fleet.version())
    fleet.state.observe_task(done, fleet.now)
    assert _step(fleet) == [DeleteAgent(_key(0), record.uid, record.resource_version, "Drained")]


def test_an_agent_without_work_is_deleted_at_once() -> None:
    """There is nothing to wait for; while the end of its last task is being written, there is."""
    fleet = Fleet()
    fleet.pool(replicas=0)
    agent = fleet.ready_agent()
    deletion = DeleteAgent(_key(0), agent.uid, agent.resource_version, "ScaledDown")
    assert _step(fleet) == [deletion]
    running = fleet.task(_key(0))
    fleet.state.assume(replace(running, phase=TaskPhase.SUCCEEDED))
    assert _step(fleet) == [Drain(_key(0), "ScaledDown")]


def test_busy_agents_are_deleted_only_after_their_time_to_drain() -> None:
    """A draining agent that still works is deleted at drainTimeoutSeconds, and not before."""
    fleet = Fleet()
    fleet.pool(replicas=0, drain_timeout_seconds=60)
    fleet.ready_agent()
    fleet.task(_key(0))
    record = fleet.drain(_key(0))
    fleet.seconds += 59
    assert _step(fleet) == []
    assert next_due(fleet.state, fleet.now) == pytest.approx(fleet.seconds + 1)
    fleet.seconds += 1
    assert _step(fleet) == [
        DeleteAgent(_key(0), record.uid, record.resource_version, "DrainTimeout")
    ]
    assert next_due(fleet.state, fleet.now) is None


def test_an_agent_stays_until_the_end_of_its_last_task_is_written() -> None:
    """Were its leader to die before that write, only the agent could tell the outcome again."""
    fleet = Fleet()
    fleet.pool(replicas=0)
    fleet.ready_agent()
    running = fleet.task(_key(0))
    record = fleet.drain(_key(0))
    done = replace(running, phase=TaskPhase.SUCCEEDED, resource_version=fleet.version())
    fleet.state.assume(done)
    assert _step(fleet) == []
    fleet.state.observe_task(done, fleet.now)
    fleet.state.settle(done.uid)
    assert _step(fleet) == [DeleteAgent(_key(0), record.uid, record.resource_version, "Drained")]


def test_draining_agents_are_replaced_at_once() -> None:
    """A draining agent no longer counts: its pool gets another one in its place."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    fleet.ready_agent()
    fleet.task(_key(0))
    fleet.drain(_key(0))
    assert _step(fleet) == [CreateAgent(POOL, "crew-1")]


@pytest.mark.parametrize("pool", ["", "crew"])
def test_agents_without_a_pool_are_seen_off_too(pool: str) -> None:
    """A draining Agent that stands alone, or whose pool is gone, has the default time to drain."""
    fleet = Fleet()
    fleet.ready_agent(pool=pool)
    fleet.task(_key(0))
    record = fleet.drain(_key(0))

    def deletions() -> list[object]:
        return [*replicas(fleet.state, Key(NAMESPACE, pool), fleet.now)]

    fleet.seconds += DEFAULT_DRAIN_SECONDS - 1
    assert deletions() == []
    fleet.seconds += 1
    assert deletions() == [
        DeleteAgent(_key(0), record.uid, record.resource_version, "DrainTimeout")
    ]


@pytest.mark.parametrize("fields", [{"deleting": True}, {"invalid": "spec.replicas: is missing"}])
def test_unusable_pools_start_nothing(fields: dict[str, object]) -> None:
    """A pool that is being deleted or cannot be read neither creates nor drains."""
    fleet = Fleet()
    fleet.pool(replicas=3, **fields)
    fleet.ready_agent()
    assert _step(fleet) == []
    fleet.pool(replicas=0, **fields)
    assert _step(fleet) == []


def test_agents_of_an_earlier_pool_do_not_count() -> None:
    """Agents of a deleted pool of the same name are left to go, and their names are not reused."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    fleet.ready_agent(pool_uid="another-pool")
    assert _step(fleet) == [CreateAgent(POOL, "crew-1")]


def _leaving(fleet: Fleet, name: str, grace: float = 30.0, **fields: object) -> None:
    """Observe an agent whose pod was just told to end within its grace period."""
    agent = fleet.ready_agent(name)
    fleet.change_pod(agent.key, deleting=True, delete_by=fleet.now.wall + grace, **fields)


@pytest.mark.parametrize("terminated", [False, True], ids=["on a lost node", "held by a finalizer"])
def test_an_agent_whose_pod_does_not_end_is_replaced(*, terminated: bool) -> None:
    """A minute after its grace period it is drained, and another takes its place under a new name.

    Until then it holds its place: ordinarily there is never a pod more than replicas.
    """
    fleet = Fleet()
    fleet.pool(replicas=2)
    _leaving(fleet, "crew-0", terminated=terminated)
    fleet.ready_agent("crew-1")
    assert next_due(fleet.state, fleet.now) == fleet.seconds + 30 + OVERDUE_SECONDS
    assert not at_rest(fleet.state, POOL)
    fleet.seconds += 30 + OVERDUE_SECONDS - 1
    assert _step(fleet) == []
    fleet.seconds += 1
    assert _step(fleet) == [Drain(_key(0), "PodStuckTerminating"), CreateAgent(POOL, "crew-2")]
    record = fleet.drain(_key(0))
    fleet.agent("crew-2")
    assert _step(fleet) == [DeleteAgent(_key(0), record.uid, record.resource_version, "Drained")]


def test_a_stuck_pod_is_not_replaced_while_its_pool_shrinks() -> None:
    """A pool that has enough agents without the stuck one only lets it go."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    _leaving(fleet, "crew-0")
    fleet.ready_agent("crew-1")
    fleet.seconds += 30 + OVERDUE_SECONDS
    assert _step(fleet) == [Drain(_key(0), "PodStuckTerminating")]


@given(replicas_=st.integers(1, 5), rounds=st.integers(1, 30))
def test_stuck_pods_do_not_pile_up(replicas_: int, rounds: int) -> None:
    """Where no pod ever ends, a pool makes a bounded number of them."""
    fleet = Fleet()
    fleet.pool(replicas=replicas_)
    for _ in range(rounds):
        for action in _step(fleet):
            match action:
                case CreateAgent(name=name):
                    _leaving(fleet, name)
                case Drain(agent=key):
                    fleet.drain(key)
                case DeleteAgent(agent=key):
                    fleet.state.forget_agent(key)
        fleet.seconds += 30 + OVERDUE_SECONDS
    assert len(fleet.state.pods) <= 2 * replicas_ + SPARE_REPLACEMENTS
