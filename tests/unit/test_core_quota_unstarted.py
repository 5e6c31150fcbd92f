"""A pool that cannot start makes no more pods, and holds no places that others could use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.actions import CreateAgent, DeleteAgent
from agentcorps.core.amounts import NANO
from agentcorps.core.conditions import find
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota.rules import DEFAULT_RULES, SharingRules
from agentcorps.core.quota.unstarted import PROBES, Unstarted
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key
from agentcorps.core.scaling import replicas
from agentcorps.core.statuses import Memory, pool_status
from support.fleet import NAMESPACE, POOL, Fleet

if TYPE_CHECKING:
    from agentcorps.core.room import Room

LATE = Key(NAMESPACE, "late")
STARTUP = 120
PULL = "ImagePullBackOff"


def _crew(reason: str, count: int = 4, replicas_wanted: int = 9, hard: int = 0) -> Fleet:
    """A pool whose pods all wait for some reason; with a quota of so many pods, if any."""
    fleet = Fleet()
    fleet.pool(replicas=replicas_wanted)
    for number in range(count):
        agent = fleet.agent(f"crew-{number}", startup_seconds=STARTUP)
        fleet.pod(agent, phase="Pending", ready=False, waiting_reason=reason)
    if hard:
        used = {"pods": count * NANO}
        quota = QuotaRecord("q", Key(NAMESPACE, "q"), 1, {"pods": hard * NANO}, used)
        fleet.state.observe_quota(quota)
    return fleet


def _rooms(fleet: Fleet, **more: Any) -> dict[Key, Room]:
    return rooms(fleet.state, ForeignUse(), fleet.now, **more)


def _made(fleet: Fleet) -> int:
    found = replicas(fleet.state, POOL, fleet.now, 0.0, _rooms(fleet).get(POOL))
    return sum(isinstance(action, CreateAgent) for action in found)


@pytest.mark.parametrize("reason", [PULL, "ErrImagePull", "CreateContainerConfigError", ""])
@pytest.mark.parametrize("hard", [0, 20])
def test_what_does_not_start_is_not_multiplied(reason: str, hard: int) -> None:
    """Four of nine pods hang: within their time others are made beside them, later none."""
    fleet = _crew(reason, hard=hard)
    assert _made(fleet) == 5
    fleet.seconds += STARTUP
    assert _made(fleet) == 0
    assert _rooms(fleet)[POOL].unstarted == 4


def test_unschedulable_pods_have_as_long_as_a_new_node_may_take() -> None:
    """Until then they are pods that start; from then on the cluster limits the pool."""
    fleet = _crew("Unschedulable")
    fleet.seconds += DEFAULT_RULES.unschedulable - 1
    assert _rooms(fleet) == {}
    assert _made(fleet) == 5
    fleet.seconds += 1
    room = _rooms(fleet)[POOL]
    assert (room.granted, room.creatable, room.unschedulable) == (4, 0, 4)
    assert not list(replicas(fleet.state, POOL, fleet.now, 0.0, room))
    told = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms={POOL: room}))
    assert told["limitedBy"] == "Capacity"
    assert "grantedReplicas" not in told
    assert find(told, "QuotaLimited") == {}
    assert find(told, "Stalled")["reason"] == "Unschedulable"


def test_the_time_for_a_new_node_is_a_setting() -> None:
    """Another number of seconds counts instead, but none below the agent's own startup time."""
    fleet = _crew("Unschedulable")
    fleet.seconds += STARTUP
    assert _rooms(fleet, rules=SharingRules(unschedulable=1))[POOL].unschedulable == 4


@pytest.mark.parametrize("hard", [0, 9])
def test_the_status_says_that_a_pool_waits_for_its_first_agent(hard: int) -> None:
    """Four of nine agents hang and no more are made: Startup limits the pool, not the quota."""
    fleet = _crew(PULL, hard=hard)
    fleet.seconds += STARTUP
    told = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms=_rooms(fleet)))
    assert told["limitedBy"] == "Startup"
    assert told.get("grantedReplicas") == (4 if hard else None)
    assert find(told, "Stalled")["reason"] == PULL


def test_a_pool_that_has_as_many_as_it_wants_is_not_limited() -> None:
    """All four agents exist and hang: Stalled says why, and nothing keeps more from being made."""
    fleet = _crew(PULL, replicas_wanted=4)
    fleet.seconds += STARTUP
    told = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms=_rooms(fleet)))
    assert told["limitedBy"] == "None"
    assert find(told, "Stalled")["reason"] == PULL


def test_a_pool_whose_share_others_still_have_says_so() -> None:
    """Others have all four places, two of which are a new pool's: it is told that it waits."""
    fleet = _crew("", count=4, hard=4)
    fleet.other_pool(fleet.state.pools[POOL], LATE, replicas=2)
    found = _rooms(fleet)
    assert (found[LATE].granted, found[LATE].awaited) == (2, 2)
    told = pool_status(fleet.state, LATE, fleet.now, Memory(0.0, rooms=found))
    said = "0 of 2 agents are ready; others still have the places for 2 of its share"
    assert find(told, "Reconciling")["message"] == said


def test_others_get_the_places_of_what_does_not_start() -> None:
    """All places are held by pods that hang; another pool wants them and leaves one to try with."""
    fleet = _crew(PULL, count=4, hard=4)
    fleet.other_pool(fleet.state.pools[POOL], LATE, replicas=9)
    assert (_rooms(fleet)[POOL].granted, _rooms(fleet)[LATE].granted) == (2, 2)
    fleet.seconds += STARTUP
    found = _rooms(fleet)
    assert (found[POOL].granted, found[LATE].granted) == (1, 3)
    left = list(replicas(fleet.state, POOL, fleet.now, 0.0, found[POOL]))
    assert all(isinstance(one, DeleteAgent) and one.reason == "QuotaReclaimed" for one in left)
    assert len(left) == 3
    told = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms=found))
    assert "4 of them do not start, and leave their places to others" in str(told)


def test_without_others_nothing_is_taken_from_it() -> None:
    """Pods that hang are kept where nobody else wants their places."""
    fleet = _crew(PULL, count=4, hard=4)
    fleet.seconds += STARTUP
    room = _rooms(fleet)[POOL]
    assert (room.granted, room.creatable) == (4, 0)
    assert replicas(fleet.state, POOL, fleet.now, 0.0, room) == []


def test_higher_priority_helps_nobody_who_does_not_start() -> None:
    """A pool of a lower priority gets the places all the same."""
    fleet = _crew(PULL, count=4, hard=4)
    fleet.pool(replicas=9, quota_priority=9)
    fleet.other_pool(fleet.state.pools[POOL], LATE, replicas=9, quota_priority=0)
    fleet.seconds += STARTUP
    assert (_rooms(fleet)[POOL].granted, _rooms(fleet)[LATE].granted) == (1, 3)


def test_one_agent_that_starts_gives_the_pool_its_claim_back() -> None:
    """The image is there now: one pod says hello, and only those that hang lose their places."""
    fleet = _crew(PULL, count=4, hard=8)
    fleet.other_pool(fleet.state.pools[POOL], LATE, replicas=9)
    fleet.seconds += STARTUP
    key = Key(NAMESPACE, "crew-0")
    fleet.change_pod(key, phase="Running", ready=True, waiting_reason="")
    fleet.hello(key)
    found = _rooms(fleet)
    assert (found[POOL].granted, found[LATE].granted) == (4, 4)
    assert found[POOL].unstarted == 3


def test_a_corrected_template_has_nothing_to_answer_for() -> None:
    """Pods of the earlier template hang; those of the present one are made."""
    fleet = _crew(PULL)
    fleet.seconds += STARTUP
    fleet.pool(replicas=9, template_hash="corrected")
    assert _rooms(fleet) == {}
    assert _made(fleet) == 5


def test_agents_whose_pods_are_refused_hold_no_places() -> None:
    """An Agent whose pod was refused for as long as it may take to start is taken for stuck."""
    fleet = _crew("", count=0, hard=4)
    for number in range(4):
        fleet.agent(f"crew-{number}", startup_seconds=STARTUP)
    fleet.other_pool(fleet.state.pools[POOL], LATE, replicas=9)
    fleet.seconds += STARTUP
    refused = {Key(NAMESPACE, f"crew-{number}") for number in range(4)}
    assert _rooms(fleet)[LATE].granted == 2
    assert _rooms(fleet, refused=refused)[LATE].granted == 3


def test_an_agent_that_was_heard_once_has_started() -> None:
    """After a takeover nobody has said hello yet: that is no reason to give places away."""
    fleet = _crew("", hard=4)
    for number in range(4):
        key = Key(NAMESPACE, f"crew-{number}")
        told = {"podUID": fleet.state.pods[key].uid, "instance": "one"}
        fleet.change_agent(key, status=told)
    fleet.seconds += 10 * STARTUP
    assert _rooms(fleet)[POOL].unstarted == 0


_STARTS = st.builds(
    lambda active, given_up, unschedulable, serves: Unstarted(
        active,
        min(active, given_up),
        min(active, given_up, unschedulable),
        serves and given_up < active,
    ),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.booleans(),
)


@given(_STARTS, st.integers(0, 30))
def test_claims_of_pools_that_do_not_start(start: Unstarted, target: int) -> None:
    """What is of use is within what is kept, and that within the target; one may always be tried.

    And a pool that is not able to start another agent is never let beyond those that it has.
    """
    useful, kept = start.useful(target), start.kept(target)
    assert min(target, PROBES) <= useful <= kept <= target
    if start.given_up:
        others = target if start.able else start.active
        assert useful <= max(0, others - start.given_up) + PROBES
    else:
        assert useful == target
    if not start.able:
        assert kept <= max(start.active, PROBES)
