"""Why a task is where it is, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.records import Target
from agentcorps.core.staffing import Staffing
from agentcorps.core.why import (
    Availability,
    Candidate,
    Why,
    candidates_from_objects,
    candidates_from_state,
    explain,
    tasks_ahead,
)
from support.decide import bindings
from support.strategies import (
    BIG,
    DEFECTS,
    NOW,
    World,
    a_seat,
    a_task,
    bound,
    observed,
    state_of,
    worlds,
)

if TYPE_CHECKING:
    from agentcorps.core.label_selector import Selector
    from agentcorps.core.records import TaskRecord

CREW = Target("east", "crew")
THREE = Staffing(3)
ABLE = frozenset({"sum", "translate"})


def why(task: TaskRecord, *candidates: Candidate, pool: Staffing = THREE, ahead: int = 0) -> Why:
    """Explain a task whose pool exists."""
    return explain(
        task,
        pool=pool,
        candidates=candidates,
        now_wall=NOW.wall,
        queue_ahead=ahead,
    )


def candidate(
    number: int, used: int = 0, availability: Availability = Availability.READY
) -> Candidate:
    """Return an agent that can do everything, with one slot."""
    return Candidate(f"crew-{number}", ABLE, 1, used, availability)


def test_agents_are_counted_by_what_speaks_against_them() -> None:
    """A sentence tells how many are busy and what the others lack, the list tells which."""
    task = a_task(requires=frozenset({"translate"}))
    unable = Candidate("crew-2", frozenset({"sum"}), 1, 0, Availability.READY)
    told = why(task, candidate(0, used=1), candidate(1, used=1), unable)
    assert told.reason == "NoIdleAgent"
    assert told.message == (
        "3 agents in pool crew: 2 busy (1/1 slots), 1 lacks capability translate"
    )
    assert told.verdicts == [
        ("crew-0", "busy (1/1 slots)"),
        ("crew-1", "busy (1/1 slots)"),
        ("crew-2", "lacks capability translate"),
    ]


@pytest.mark.parametrize(
    ("ahead", "end"),
    [(0, "1 free"), (1, "; 1 task is ahead of it"), (7, "; 7 tasks are ahead of it")],
)
def test_the_line_is_told(ahead: int, end: str) -> None:
    """A task that waits its turn says how many go first."""
    assert why(a_task(), candidate(0), ahead=ahead).message.endswith(end)


@pytest.mark.parametrize(
    ("replicas", "reason", "message"),
    [
        (0, "NoAgentMatches", "pool crew has no agents: its replicas are 0"),
        (2, "NoIdleAgent", "pool crew has no agents yet"),
    ],
)
def test_an_empty_pool_is_told(replicas: int, reason: str, message: str) -> None:
    """A pool that is scaled to zero will never serve a task, one that is starting will."""
    told = why(a_task(), pool=Staffing(replicas))
    assert (told.reason, told.message) == (reason, message)


def test_a_pool_without_room_in_its_quota_is_told() -> None:
    """Its agents cannot come before the quotas leave room; a pool that has some is not meant."""
    short = Staffing(2, limited_by="Quota")
    told = why(a_task(), pool=short)
    assert told.reason == "QuotaLimited"
    assert told.message == "pool crew has no agents: its ResourceQuotas leave no room for any"
    assert why(a_task(), candidate(0, used=1), pool=short).reason == "NoIdleAgent"


def test_a_pool_that_is_paused_at_zero_is_told() -> None:
    """Nothing but a change of the pool brings an agent, even while the last ones are leaving."""
    paused = Staffing(0, scales=True, paused=True)
    for candidates in ([], [candidate(0, availability=Availability.DRAINING)]):
        told = why(a_task(), *candidates, pool=paused)
        assert told.reason == "PoolPaused"
        assert told.message == "pool crew is to have no agents: its spec.scaling is paused at 0"


@pytest.mark.parametrize(
    ("pool", "end"),
    [
        (Staffing(1, scales=True), "1 busy (1/1 slots)"),
        (
            Staffing(1, scales=True, limited_by="MaxReplicas"),
            "; the pool has as many agents as scaling.maxReplicas allows",
        ),
        (
            Staffing(1, scales=True, limited_by="Behavior"),
            "; more agents come as fast as scaling.behavior.scaleUp allows",
        ),
        (
            Staffing(1, limited_by="Quota"),
            "; the pool has as many agents as its share of the ResourceQuota allows",
        ),
        (Staffing(2, limited_by="Capacity"), "; pods of the pool wait for a node"),
        (
            Staffing(1, scales=True, paused=True, limited_by="Paused"),
            "; scaling of the pool is paused at 1 agent",
        ),
    ],
)
def test_what_limits_the_pool_is_told(pool: Staffing, end: str) -> None:
    """A task that waits for a busy agent says why no further one comes."""
    told = why(a_task(), candidate(0, used=1), pool=pool)
    assert told.reason == "NoIdleAgent"
    assert told.message.endswith(end)


def test_a_pool_whose_scaling_asks_for_nobody_is_told() -> None:
    """A pool without agents of which no policy counts Tasks is no matter of its replicas."""
    told = why(a_task(), pool=Staffing(0, scales=True))
    assert told.reason == "NoAgentMatches"
    assert told.message == "pool crew has no agents: nothing in its spec.scaling asks for any"


def test_nobody_matches() -> None:
    """If no agent, busy or not, has the capabilities, the missing ones are named."""
    told = why(a_task(requires=frozenset({"juggle", "fly"})), candidate(0, used=1))
    assert told.reason == "NoAgentMatches"
    assert told.message == "1 agent in pool crew: 1 lacks capabilities fly, juggle"


def test_a_missing_pool_is_told() -> None:
    """A pool that is not there is named with its namespace."""
    told = explain(
        a_task(),
        pool=None,
        candidates=[],
        now_wall=NOW.wall,
        queue_ahead=0,
    )
    assert told[:3] == ("PoolNotFound", "there is no AgentPool crew in namespace east", [])


def test_a_backoff_is_told_with_its_end_and_cause() -> None:
    """A task between two tries says when the next one may begin, and why it waits."""
    error = lifecycle.requeue(
        bound(a_task(), a_seat()), "AgentError", "out of cheese", counted=True, now=NOW
    )
    told = why(error, candidate(0))
    assert told.reason == "Backoff"
    assert told.message == (
        "not before 2027-01-15T08:00:05Z, because attempt 1 ended with AgentError: out of cheese"
    )


def test_a_task_that_can_never_run_is_told() -> None:
    """Too large an input is told before the operator has written it."""
    told = why(a_task(input_bytes=70_000), candidate(0))
    assert told.reason == "InputTooLarge"
    assert told.message.startswith("spec.input takes 70000 bytes as JSON, more than 65536")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            bound(a_task(timeout_seconds=90), a_seat()),
            (
                "agent crew-0 works on attempt 1 since 2027-01-15T08:00:00Z, until"
                " 2027-01-15T08:01:30Z at the latest"
            ),
        ),
        (
            lifecycle.progress(bound(a_task(timeout_seconds=60), a_seat()), 40, "reading"),
            (
                "agent crew-0 works on attempt 1 since 2027-01-15T08:00:00Z, until"
                " 2027-01-15T08:01:00Z at the latest, 40 % done"
            ),
        ),
        (
            lifecycle.succeed(bound(a_task(), a_seat()), NOW),
            "the Task has ended: Succeeded on agent crew-0 in attempt 1",
        ),
        (
            lifecycle.fail(bound(a_task(), a_seat()), "AgentError", "no text", NOW),
            "the Task has ended: Failed on agent crew-0 in attempt 1; no text",
        ),
        (lifecycle.cancel(a_task(), NOW), "the Task has ended: Cancelled; cancelled"),
        (a_task(phase=TaskPhase.SUCCEEDED), "the Task has ended: Succeeded"),
        (a_task(phase=TaskPhase.FAILED, message="no"), "the Task has ended: Failed; no"),
    ],
)
def test_a_task_that_does_not_wait_is_told(task: TaskRecord, message: str) -> None:
    """Who asks about a running or an ended task learns that."""
    assert why(task).message == message


@pytest.mark.parametrize(
    ("defect", "verdict"),
    [
        ("no session", "starting"),
        ("no pod", "starting"),
        ("session of an earlier pod", "starting"),
        ("pod being deleted", "being deleted"),
        ("said goodbye", "draining"),
        ("no open poll", "connected, but asking for no work"),
        ("draining", "draining"),
        ("unhealthy", "unhealthy"),
        ("being deleted", "being deleted"),
        ("invalid", "invalid"),
    ],
)
def test_what_keeps_work_from_an_agent_is_told(defect: str, verdict: str) -> None:
    """Each thing that is in the way of an agent has its own word."""
    state = state_of(a_task(), seats=[DEFECTS[defect](a_seat())])
    assert why(a_task(), *candidates_from_state(state, CREW)).verdicts == [("crew-0", verdict)]


@given(worlds)
def test_who_is_left_waiting_has_no_free_agent(world: World) -> None:
    """After the bindings no agent is called free to a task that still waits."""
    state = observed(world.observations())
    bindings(state)
    for task in state.tasks.values():
        if task.phase is TaskPhase.QUEUED and not state.in_flight(task.uid):
            candidates = candidates_from_state(state, task.target)
            verdicts = {verdict for _, verdict in why(task, *candidates).verdicts}
            assert "free" not in verdicts


def _agent(name: str, status: dict[str, object], **metadata: object) -> dict[str, object]:
    """An Agent as the API server lists it."""
    template = {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}
    return {
        "metadata": {"name": name, "namespace": "east", "uid": name, "resourceVersion": "1"}
        | metadata,
        "spec": {"slots": 2, "capabilities": ["sum"], "podTemplate": template},
        "status": status,
    }


def test_candidates_are_made_from_listed_agents() -> None:
    """Without the operator's memory the phase and slotsUsed of each Agent tell how it stands."""
    agents = [
        _agent("crew-3", {"phase": "Idle"}, deletionTimestamp="2026-11-23T07:42:00Z"),
        _agent("crew-2", {}),
        _agent("crew-1", {"phase": "Busy", "slotsUsed": 2}),
        _agent("crew-0", {"phase": "Draining"}),
    ]
    verdicts = dict(why(a_task(), *candidates_from_objects(agents)).verdicts)
    assert verdicts == {
        "crew-0": "draining",
        "crew-1": "busy (2/2 slots)",
        "crew-2": "starting",
        "crew-3": "being deleted",
    }


def test_running_tasks_correct_an_old_status() -> None:
    """An agent whose status still says idle is busy if listed Tasks run on it."""
    running = [bound(a_task(number), a_seat()) for number in range(2)]
    (one,) = candidates_from_objects([_agent("crew-0", {"phase": "Idle"})], running)
    assert one.used == 2


def test_who_is_ahead() -> None:
    """Waiting tasks of the same pool with a higher priority or an earlier creation are ahead."""
    mine = a_task(1)
    others = [
        mine,
        a_task(0),
        a_task(2),
        a_task(3, priority=1),
        a_task(4, pool="band"),
        replace(a_task(5, priority=1), phase=TaskPhase.RUNNING),
    ]
    assert tasks_ahead(mine, others, 60, NOW.wall) == 2


def test_each_filter_says_how_many_agents_it_takes_out() -> None:
    """The filters are told in their order, with what each leaves of the agents."""
    task = a_task(requires=frozenset({"translate"}))
    unable = Candidate("crew-4", frozenset({"sum"}), 1, 0, Availability.READY)
    draining = candidate(3, availability=Availability.DRAINING)
    told = why(task, candidate(0, used=1), candidate(1, used=1), candidate(2), draining, unable)
    assert told.cuts == [
        ("pool crew", 0, 5),
        ("capabilities", 1, 4),
        ("ready", 1, 3),
        ("free slot", 2, 1),
    ]


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        (BIG, "1 agent with labels size=big: 1 busy (1/1 slots)"),
        ((), "1 agent with any labels: 1 busy (1/1 slots)"),
    ],
)
def test_a_selector_is_told_as_kubectl_takes_it(selector: Selector, told: str) -> None:
    """A task that names labels instead of a pool does not wait for a pool to exist."""
    task = a_task(pool="", selector=selector)
    answer = explain(
        task,
        pool=None,
        candidates=[candidate(0, used=1)],
        now_wall=NOW.wall,
        queue_ahead=0,
    )
    assert (answer.reason, answer.message) == ("NoIdleAgent", told)


def test_labels_that_no_agent_has_are_told() -> None:
    """A selector without any agent is named with the namespace in which it was tried."""
    answer = why(a_task(pool="", selector=BIG), pool=Staffing(0))
    assert answer.reason == "NoAgentMatches"
    assert answer.message == "there is no agent with labels size=big in namespace east"


def test_candidates_of_a_selector_come_from_all_pools() -> None:
    """Agents of any pool, and those that stand alone, are looked at if their labels match."""
    labels = {"size": "big"}
    seats = [a_seat(0, labels=labels), a_seat(1, pool="", labels=labels), a_seat(2)]
    found = candidates_from_state(state_of(seats=seats), Target("east", "", BIG))
    assert [one.name for one in found] == ["crew-0", "crew-1"]


def test_who_rests_is_not_in_line() -> None:
    """A task in its back-off is ahead of nobody, and has nobody ahead of it."""
    error = lifecycle.requeue(bound(a_task(0), a_seat()), "AgentError", "", counted=True, now=NOW)
    assert tasks_ahead(a_task(1), [error], 60, NOW.wall) == 0
    assert tasks_ahead(error, [a_task(1, priority=9)], 60, NOW.wall) == 0
    assert tasks_ahead(a_task(1), [error], 60, NOW.wall + 5) == 1
