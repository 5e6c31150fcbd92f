"""The numbers of what there is are those that one gets by counting."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.api.scaling import LimitedBy
from agentcorps.core import census
from agentcorps.core.charge import charge_of
from agentcorps.core.quota_record import quota_record
from agentcorps.core.records import Key
from agentcorps.core.room import Room
from support.fleet import NAMESPACE, POOL, Fleet

if TYPE_CHECKING:
    from agentcorps.core.census import PoolNumbers

OTHER_POOL = Key("elsewhere", "crew")
LIFE = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*TaskPhase, None])), max_size=30)


def cpu(amount: str, **more: str) -> object:
    """Return the charge of a pod that requests so much."""
    requests = {"cpu": amount, **more}
    return charge_of({"containers": [{"name": "agent", "resources": {"requests": requests}}]})


def quota(fleet: Fleet, name: str = "team", **hard: str) -> None:
    """Observe a ResourceQuota of the crew's namespace."""
    limits = {key.replace("_", "."): value for key, value in hard.items()}
    version = str(fleet.version())
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "resourceVersion": version}
    fleet.state.observe_quota(quota_record({"metadata": metadata, "spec": {"hard": limits}}))


def numbers(fleet: Fleet, rooms: dict[Key, Room] | None = None) -> dict[Key, PoolNumbers]:
    """Return the numbers of all pools."""
    state = fleet.state
    return dict(census.pool_numbers(state, census.agent_phases(state), rooms or {}, {}))


@given(LIFE)
def test_tasks_are_counted_as_they_come_change_and_go(
    steps: list[tuple[int, TaskPhase | None]],
) -> None:
    """After any history the kept counts are those of the Tasks there are, and hold no zeros."""
    fleet = Fleet()
    agent = fleet.ready_agent()
    for number, phase in steps:
        uid = f"task-{number}"
        if phase is None:
            fleet.state.forget_task(uid)
        else:
            runs = phase is TaskPhase.RUNNING
            fleet.task(agent.key if runs else None, uid, phase=phase)
    found = Counter((task.pool_key, task.phase) for task in fleet.state.tasks.values())
    assert dict(fleet.state.task_counts) == dict(found)


def test_an_assumed_write_counts_at_once() -> None:
    """A Task whose binding is being written is Running for those who count."""
    fleet = Fleet()
    agent = fleet.ready_agent()
    fleet.task()
    bound = fleet.state.tasks["task-1"]
    running = fleet.task(agent.key, "other")
    fleet.state.assume(
        type(bound)(
            **{name: getattr(running, name) for name in running.__slots__}
            | {"uid": bound.uid, "key": bound.key}
        )
    )
    assert dict(fleet.state.task_counts) == {(POOL, TaskPhase.RUNNING): 2}


def test_agents_are_counted_by_phase_and_the_busy_by_their_tasks() -> None:
    """Idle in the status is Busy as soon as a Task is bound; one without a status is Pending."""
    fleet = Fleet()
    fleet.ready_agent("crew-0", phase=AgentPhase.IDLE)
    busy = fleet.ready_agent("crew-1", phase=AgentPhase.IDLE)
    fleet.task(busy.key)
    fleet.agent("crew-2")
    fleet.agent("lone", pool="", phase=AgentPhase.FAILED)
    assert census.agent_phases(fleet.state) == {
        (POOL, AgentPhase.IDLE): 1,
        (POOL, AgentPhase.BUSY): 1,
        (POOL, AgentPhase.PENDING): 1,
        (Key(NAMESPACE, ""), AgentPhase.FAILED): 1,
    }


def test_a_pools_numbers() -> None:
    """Target, ready agents, what it wants, and its share of a quota where there is one."""
    fleet = Fleet()
    pool = fleet.pool(5, status={"limitedBy": "Quota"})
    fleet.other_pool(pool, OTHER_POOL, status={"limitedBy": ["no", "word"]}, replicas=2)
    fleet.ready_agent(phase=AgentPhase.IDLE)
    rooms = {POOL: Room(5, 3, 0, "pods"), OTHER_POOL: Room(2, 1, 0, by_quota=False)}
    assert numbers(fleet, rooms) == {
        POOL: (5, 5, 1, 3, None, LimitedBy.QUOTA, 0),
        OTHER_POOL: (2, 2, 0, None, None, LimitedBy.NONE, 0),
    }


def test_the_dominant_share_is_that_of_the_scarcest_resource() -> None:
    """Two pods of 1 CPU of 4 and of 10 by number: half of the CPU is the pool's share."""
    fleet = Fleet()
    pool = fleet.pool(2)
    fleet.other_pool(pool, Key(NAMESPACE, "others"))
    for name in ("crew-0", "crew-1"):
        fleet.pod(fleet.agent(name), charge=cpu("1", memory="1Gi"))
    ended = fleet.agent("crew-2")
    fleet.pod(ended, charge=cpu("1"), terminated=True)
    assert census.dominant_shares(fleet.state) == {}
    quota(fleet, requests_cpu="4", pods="10", requests_storage="0")
    shares = census.dominant_shares(fleet.state)
    assert shares == pytest.approx({POOL: 0.5, Key(NAMESPACE, "others"): 0.0})
    quota(fleet, "smaller", requests_memory="3Gi")
    assert census.dominant_shares(fleet.state)[POOL] == pytest.approx(2 / 3)


def test_quotas_without_pools_are_left_out() -> None:
    """Other people's quotas are none of this operator's metrics."""
    fleet = Fleet()
    quota(fleet, pods="3")
    assert census.quotas_of_pools(fleet.state) == []
    fleet.pool()
    assert [one.key.name for one in census.quotas_of_pools(fleet.state)] == ["team"]
