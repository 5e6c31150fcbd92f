"""The built-in autoscaler decides as scaling is documented to: table tests and properties."""

from __future__ import annotations

from typing import Any

import pytest

from agentcorps.api.meta import TaskPhase
from agentcorps.api.scaling import LimitedBy
from agentcorps.core.autoscaling.decision import AGAIN_SECONDS, decide
from agentcorps.core.autoscaling.demand import buffered
from agentcorps.core.autoscaling.load import Load, load_of
from agentcorps.core.label_selector import parse_selector
from agentcorps.core.records import Attempt
from support.fleet import Fleet
from support.scalings import AT_ONCE, CALM, EPOCH, Pool, scaling


@pytest.mark.parametrize(
    ("policy", "load", "expected"),
    [
        ({}, Load(), 0),
        ({}, Load(queued=3, running=2), 5),
        ({}, Load(queued=3, running=2, slots=2), 3),
        ({"tasksPerAgent": 4}, Load(queued=9), 3),
        ({"tasksPerAgent": 4}, Load(queued=9, slots=2), 2),
        ({"maxWaitSeconds": 60}, Load(queued=9), 9),
        ({"maxWaitSeconds": 60}, Load(queued=100, service_seconds=6.0), 10),
        ({"maxWaitSeconds": 60}, Load(queued=100, slots=4, service_seconds=6.0), 3),
        ({"maxWaitSeconds": 60}, Load(queued=1, service_seconds=0.01), 1),
        ({"maxWaitSeconds": 60}, Load(queued=5, running=8, service_seconds=6.0), 8),
        ({"maxWaitSeconds": 1}, Load(queued=5, service_seconds=600.0), 5),
    ],
)
def test_tasks_ask_for_agents(policy: dict[str, Any], load: Load, expected: int) -> None:
    """Tasks ask by number, or by the wait of the last in the queue once the rate is known."""
    pool = Pool(policies=[{"type": "Tasks", **policy}])
    decision, _ = decide(pool.scaling, load, pool.history, pool.now)
    assert [demand.replicas for demand in decision.demands] == [expected]


@pytest.mark.parametrize(
    ("idle", "busy", "expected"),
    [(2, 0, 2), (2, 5, 7), ("20%", 8, 10), ("20%", 9, 12), ("20%", 0, 0), ("99%", 1, 100)],
)
def test_buffer_is_that_of_agones(idle: int | str, busy: int, expected: int) -> None:
    """A number of idle agents is added to the busy ones, a percentage is of all."""
    assert buffered(idle, busy) == expected
    assert Pool(idle=idle, behavior=AT_ONCE).target(busy=busy) == expected


def test_the_highest_demand_wins() -> None:
    """Of several policies the one that asks for most decides, and is named."""
    pool = Pool(
        idle=1,
        behavior=AT_ONCE,
        policies=[{"type": "Tasks", "tasksPerAgent": 10}, {"type": "Tasks"}],
    )
    decision = pool.decide(queued=20, busy=3)
    assert (decision.target, decision.reason) == (20, "Tasks")
    assert decision.message.startswith("policies[1] (Tasks) asks for 20: 20 queued")
    assert [demand.replicas for demand in decision.demands] == [2, 20, 4]


def test_target_is_between_bounds() -> None:
    """The target is cut to maxReplicas and lifted to minReplicas, at once, and that is told."""
    pool = Pool(minReplicas=2, maxReplicas=5, behavior=AT_ONCE, panic=CALM)
    most = pool.decide(queued=99)
    assert (most.target, most.limited_by) == (5, LimitedBy.MAX_REPLICAS)
    least = pool.decide(after=1)
    assert (least.target, least.reason) == (2, "MinReplicas")
    pool.scaling = scaling(minReplicas=0, maxReplicas=1)
    assert pool.target() == 1


# Defaults and meaning of autoscaling/v2: kubernetes.io, "Horizontal Pod Autoscaling", the sections
# "Default behavior" and "Configurable scaling behavior".


def test_rises_by_default_as_autoscaling_v2_does() -> None:
    """By default the target rises by four or doubles in 15 s, whichever is more."""
    pool = Pool(panic=CALM)
    assert [pool.target(1000, after=15) for _ in range(6)] == [4, 8, 16, 32, 64, 128]
    assert pool.target(1000, after=14) == 128
    assert pool.decide(1000).limited_by is LimitedBy.BEHAVIOR
    assert pool.target(1000, after=1) == 256


def test_falls_by_default_as_autoscaling_v2_does() -> None:
    """By default the target falls to the highest demand of the last 300 s, all at once."""
    pool = Pool(current=80, panic=CALM)
    assert pool.target(80) == 80
    assert pool.target(10, after=30) == 80
    assert pool.target(20, after=30) == 80
    assert pool.target(5, after=269) == 80  # 80 was asked for until second 30
    assert pool.target(5, after=1) == 20
    assert pool.target(5, after=300) == 5


def test_scale_down_by_ten_percent_a_minute() -> None:
    """The documented example: from 80 by 10 percent a minute, then 4 a minute from 40 on."""
    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 10, "periodSeconds": 60},
    ]
    down = {"stabilizationWindowSeconds": 0, "policies": policies}
    pool = Pool(current=80, minReplicas=10, behavior={"scaleDown": down}, panic=CALM)
    assert pool.target() == 72
    assert pool.target(after=59) == 72
    told = [pool.target(after=60) for _ in range(12)]
    assert told == [64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12]
    assert pool.target(after=60) == 10


def test_select_policy_min_takes_the_smallest_change() -> None:
    """With selectPolicy Min the most cautious policy counts, in both directions."""
    rules = {
        "selectPolicy": "Min",
        "stabilizationWindowSeconds": 0,
        "policies": [
            {"type": "Pods", "value": 5, "periodSeconds": 60},
            {"type": "Percent", "value": 50, "periodSeconds": 60},
        ],
    }
    behavior = {"scaleUp": rules, "scaleDown": rules}
    assert Pool(current=8, behavior=behavior, panic=CALM).target(100) == 12
    assert Pool(current=100, behavior=behavior, panic=CALM).target(200) == 105
    assert Pool(current=8, behavior=behavior, panic=CALM).target() == 4
    assert Pool(current=100, behavior=behavior, panic=CALM).target() == 95


@pytest.mark.parametrize(("direction", "queued"), [("scaleUp", 50), ("scaleDown", 0)])
def test_a_disabled_direction_does_not_move(direction: str, queued: int) -> None:
    """With selectPolicy Disabled the target does not move that way."""
    behavior: dict[str, Any] = {
        "scaleUp": {},
        "scaleDown": {"stabilizationWindowSeconds": 0},
    }
    behavior[direction]["selectPolicy"] = "Disabled"
    pool = Pool(current=10, behavior=behavior, panic=CALM)
    assert pool.target(queued, after=100) == 10


def test_scale_up_window_waits_for_lasting_demand() -> None:
    """With a window the target rises to no more than what was asked for throughout it."""
    up = {**AT_ONCE["scaleUp"], "stabilizationWindowSeconds": 30}
    pool = Pool(current=5, behavior={"scaleUp": up, "scaleDown": {}}, panic=CALM)
    assert pool.target(5) == 5
    assert pool.target(9, after=10) == 5
    assert pool.target(7, after=10) == 5
    assert pool.target(8, after=19) == 5
    assert pool.target(8, after=1) == 7
    assert pool.target(8, after=28) == 7  # 7 was asked for until second 39
    assert pool.target(8, after=1) == 8


def test_panic_shortens_the_window_and_forbids_shrinking() -> None:
    """When demand is twice what is ready for six seconds, the pool follows, and then holds."""
    behavior = {
        "scaleUp": {**AT_ONCE["scaleUp"], "stabilizationWindowSeconds": 120},
        "scaleDown": {"stabilizationWindowSeconds": 0},
    }
    pool = Pool(current=5, behavior=behavior)
    assert pool.target(5, after=100, ready=5) == 5
    assert pool.target(20, after=1, ready=5) == 5
    assert pool.target(20, after=6, ready=5) == 20
    assert pool.target(0, after=0.5, ready=20) == 20
    assert pool.target(0, after=59, ready=20) == 20
    assert pool.target(0, after=1, ready=20) == 0


def test_a_pool_at_zero_wakes_at_once() -> None:
    """A Task wakes a pool with no agents, whatever windows and rates say."""
    up = {
        "stabilizationWindowSeconds": 600,
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 600}],
    }
    pool = Pool(behavior={"scaleUp": up}, panic=CALM)
    assert pool.target() == 0
    assert pool.target(50, after=1) == 1


def test_scales_to_zero_after_the_window() -> None:
    """With minReplicas 0 nothing is left once nobody has asked for anything in the window."""
    pool = Pool(current=3, panic=CALM)
    assert pool.target(3) == 3
    decision = pool.decide(after=10)
    assert (decision.target, decision.due_in) == (3, AGAIN_SECONDS)
    assert pool.target(after=300) == 0
    assert pool.decide().due_in is None


def test_a_new_leader_does_not_shrink_a_pool_at_once() -> None:
    """A history that just began holds the present number for one stabilization window."""
    pool = Pool(current=40)
    assert pool.target() == 40
    assert pool.target(after=299) == 40
    assert pool.target(after=1) == 0


@pytest.mark.parametrize(
    ("pause", "queued", "expected"),
    [
        ({"paused": True}, 50, 10),
        ({"paused": True}, 0, 10),
        ({"pausedScaleIn": True}, 0, 10),
        ({"pausedScaleIn": True}, 50, 50),
        ({"pausedScaleOut": True}, 50, 10),
        ({"pausedScaleOut": True}, 0, 0),
        ({"pausedReplicas": 7}, 50, 7),
        ({"pausedReplicas": 0, "minReplicas": 2}, 50, 0),
    ],
)
def test_pauses(pause: dict[str, Any], queued: int, expected: int) -> None:
    """A pause keeps the target, in one or both directions, or sets it to a fixed number."""
    pool = Pool(current=10, behavior=AT_ONCE, panic=CALM, **pause)
    decision = pool.decide(queued)
    assert decision.target == expected
    assert (decision.limited_by is LimitedBy.PAUSED) == (expected in {10, 7} or "min" in str(pause))


WORKDAYS = {
    "type": "Schedule",
    "schedule": "0 8 * * 1-5",
    "timeZone": "Europe/Berlin",
    "replicas": 6,
    "durationSeconds": 3600,
}


def test_schedule_is_a_floor_while_it_lasts() -> None:
    """A Schedule asks for its replicas from each match on, in its time zone, and not after."""
    pool = Pool(policies=[{"type": "Tasks"}, WORKDAYS], behavior=AT_ONCE, panic=CALM)
    eight = 1_800_601_200.0 - EPOCH  # Friday, 2027-01-22, 08:00 in Berlin
    pool.seconds = eight - 1
    before = pool.decide()
    assert (before.target, before.due_in) == (0, 1.0)
    during = pool.decide(after=1)
    assert (during.target, during.reason, during.due_in) == (6, "Schedule", 3600.0)
    assert pool.target(9, after=1800) == 9
    over = pool.decide(after=1800)
    assert (over.target, over.due_in) == (0, 71 * 3600.0)  # until Monday


def test_the_load_is_read_from_the_state() -> None:
    """Queued, running, busy, ready and the time that attempts took lately are those of the pool."""
    fleet = Fleet()
    pool = fleet.pool(slots=2)
    worker, spare = fleet.ready_agent("crew-0"), fleet.ready_agent("crew-1")
    fleet.agent("crew-2")
    fleet.drain(spare.key)
    for number in range(3):
        fleet.task(uid=f"waits-{number}")
    fleet.task(worker.key, uid="runs")
    assert load_of(fleet.state, pool) == Load(3, 1, slots=2, agents=2, busy=1, ready=1)
    fleet.seconds += 20
    fleet.task(worker.key, uid="runs", phase=TaskPhase.SUCCEEDED, finished_at=fleet.now.wall)
    load = load_of(fleet.state, pool)
    assert (load.running, load.busy, load.service_seconds) == (0, 0, 20.0)


def test_tasks_that_no_agent_of_the_pool_can_do_ask_for_none() -> None:
    """What requires more than the template says, or means agents by labels, is no demand."""
    fleet = Fleet()
    pool = fleet.pool(capabilities=frozenset({"sum", "sort"}))
    fleet.task(uid="fits", requires=frozenset({"sum"}))
    fleet.task(uid="needs more", requires=frozenset({"sum", "gpu"}))
    fleet.task(
        uid="by labels", pool="", selector=parse_selector({"matchLabels": {"a": "b"}}, "spec")
    )
    load = load_of(fleet.state, pool)
    assert (load.queued, load.unfit) == (1, 1)
    told = Pool().decide(1, unfit=1)
    assert told.target == 1
    assert "1 queued and 0 running Tasks (1 more require what its agents cannot do)" in told.message


def test_a_task_counts_while_its_back_off_lasts() -> None:
    """An agent is there when the wait for the next attempt is over, and need not start then."""
    fleet = Fleet()
    pool = fleet.pool()
    failed = Attempt(1, "crew-0", fleet.now.wall - 5, fleet.now.wall, "AgentError")
    fleet.task(attempt=1, failures=1, attempts=(failed,), backoff_seconds=300)
    assert fleet.state.next_rest_over() is not None
    assert load_of(fleet.state, pool).queued == 1


def test_history_does_not_grow() -> None:
    """However often a pool is looked at, its history holds only what can still matter."""
    pool = Pool(minReplicas=1)
    for number in range(3000):
        pool.target(number % 7, after=0.2)
    history = pool.history
    assert len(history.lows) + len(history.highs) < 20
    assert len(history.samples) <= 32
    assert len(history.changes) <= 10
