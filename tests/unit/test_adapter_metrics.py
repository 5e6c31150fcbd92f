"""The metrics page: complete, bounded, true, and silent about payloads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agentcorps.adapters.metrics.definitions import DEFINITIONS, LABELS, LIMITED
from agentcorps.adapters.metrics.exposition import MetricsPage
from agentcorps.adapters.metrics.meter import FEWEST_SWEPT, PrometheusMeter
from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.control.remembered import Remembered
from agentcorps.core.records import Key
from agentcorps.core.room import Room
from agentcorps.ports import Kind
from support.control_room import Leader
from support.fleet import NAMESPACE, POOL, Fleet
from support.scraped import Scraped, own

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord

CANARY = "canary-71c0"


class Watched:
    """A feed that was confirmed some seconds ago."""

    def __init__(self, kind: Kind, seconds: float) -> None:
        self.kind = kind
        self._seconds = seconds

    def unconfirmed(self) -> float:
        """See Feed."""
        return self._seconds


class Stand:
    """A page of a small cluster."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.meter = PrometheusMeter()
        self.remembered = Remembered()
        self.leader = Leader()
        watches = [Watched(Kind.TASK, 1), Watched(Kind.TASK, 7), Watched(Kind.POD, 2)]
        state = self.fleet.state
        self.page = MetricsPage(self.meter, state, self.remembered, self.leader, watches)

    async def scrape(self, accept: str = "") -> Scraped:
        """Return the page as it is now."""
        text, _ = await self.page.expose(accept)
        return Scraped(text.decode())

    def ended(self, phase: TaskPhase, reason: str, **fields: Any) -> None:
        """Let an attempt of three seconds end."""
        before = self.running(**fields)
        self.meter.task_written(before, replace(before, phase=phase, reason=reason), 3.0, 0.02)

    def running(self, **fields: Any) -> TaskRecord:
        """Return a Task that runs."""
        task = self.fleet.task(uid="sample", **fields)
        self.fleet.state.forget_task("sample")
        return replace(task, phase=TaskPhase.RUNNING, attempt=1)


@pytest.fixture
def stand() -> Stand:
    """Return a page of a cluster with a pool `crew`."""
    made = Stand()
    made.fleet.pool(3, status={"limitedBy": "Quota"})
    made.remembered.rooms = {POOL: Room(3, 2, 0, "pods of ResourceQuota team")}
    return made


async def test_the_page_tells_what_there_is(stand: Stand) -> None:
    """Tasks and agents by phase, the pool's numbers, and what limits it."""
    idle = stand.fleet.ready_agent(phase=AgentPhase.IDLE)
    stand.fleet.task(uid="a")
    stand.fleet.task(uid="b")
    stand.fleet.task(idle.key, uid="c")
    found = await stand.scrape()
    crew = {"namespace": NAMESPACE, "pool": "crew"}
    assert found.values("agentcorps_tasks", **crew) == {("Queued",): 2, ("Running",): 1}
    assert found.values("agentcorps_agents", **crew) == {("Busy",): 1}
    assert found.value("agentcorps_pool_target_replicas", **crew) == 3
    assert found.value("agentcorps_pool_ready_replicas", **crew) == 1
    assert found.value("agentcorps_pool_granted_replicas", **crew) == 2
    limits = found.values("agentcorps_pool_limited", **crew)
    assert {reason for reason, on in limits.items() if on} == {("Quota",)}
    assert {reason for (reason,) in limits} == LIMITED.words
    assert found.values("agentcorps_watch_age_seconds") == {("Task",): 7, ("Pod",): 2}
    assert found.value("agentcorps_leader") == 1


async def test_a_standby_tells_of_itself_alone(stand: Stand) -> None:
    """What it knows may be stale or lack half: it shows none of it, and says that it stands by."""
    stand.fleet.task()
    stand.leader.leading = False
    found = await stand.scrape()
    assert found.value("agentcorps_leader") == 0
    assert "agentcorps_tasks" not in found.families
    assert "agentcorps_pool_target_replicas" not in found.families
    assert {"process_cpu_seconds", "python_info", "agentcorps_build"} <= {
        name.removesuffix("_info") if "build" in name else name for name in found.families
    }


async def test_the_page_holds_what_is_defined_and_nothing_else(stand: Stand) -> None:
    """Every metric has its definition, with its labels, and every label its meaning."""
    stand.ended(TaskPhase.SUCCEEDED, "Completed")
    stand.ended(TaskPhase.QUEUED, "AgentLost")
    waiting = replace(stand.running(), phase=TaskPhase.QUEUED)
    stand.meter.task_written(waiting, replace(waiting, phase=TaskPhase.RUNNING), 0.5, 0.01)
    stand.meter.task_deleted(waiting, "HistoryLimit")
    stand.meter.pool_scaled(POOL, 1, 3, "Tasks")
    stand.meter.loop("assign_tasks")(0.001, True)  # noqa: FBT003 - as a loop does it
    stand.meter.answered("PUT", 200)
    families = own(await stand.scrape())
    defined = {one.name: one for one in DEFINITIONS}
    assert {one.name.removesuffix("_total") for one in DEFINITIONS} == set(families)
    for name, family in families.items():
        definition = defined.get(name) or defined[f"{name}_total"]
        assert family.documentation == definition.help
        assert family.type == definition.type.value
        for sample in family.samples:
            labels = set(sample.labels) - {"le"}
            assert labels == set(definition.labels), sample
    assert {label for one in DEFINITIONS for label in one.labels} - {"reason"} == set(LABELS)


async def test_events_are_counted_by_pool_outcome_and_reason(stand: Stand) -> None:
    """Ends, requeues and durations; a status that leaves the phase alone is not counted."""
    stand.ended(TaskPhase.SUCCEEDED, "Completed")
    stand.ended(TaskPhase.FAILED, "QueueFull")
    stand.ended(TaskPhase.QUEUED, "AgentLost")
    stand.ended(TaskPhase.RUNNING, "Bound")
    found = await stand.scrape()
    assert found.values("agentcorps_tasks_finished_total", namespace=NAMESPACE, pool="crew") == {
        ("Succeeded", "Completed"): 1,
        ("Failed", "QueueFull"): 1,
    }
    assert found.value("agentcorps_task_requeues_total", reason="AgentLost") == 1
    assert found.value("agentcorps_task_run_seconds_sum") == 9
    assert found.value("agentcorps_task_run_seconds_count") == 3
    assert found.value("agentcorps_task_run_seconds_bucket", le="1.0") == 0
    assert found.value("agentcorps_task_run_seconds_bucket", le="5.0") == 3


async def test_reasons_and_pools_that_are_made_up_are_one_word(stand: Stand) -> None:
    """A hundred invented reasons and pools, with a payload in them, make one series each."""
    for number in range(100):
        stand.ended(TaskPhase.FAILED, f"{CANARY}{number}")
        stand.ended(TaskPhase.FAILED, "Timeout", pool=f"{CANARY}{number}")
        stand.fleet.task(uid=f"{CANARY}-{number}", pool=f"{CANARY}{number}", message=CANARY)
    found = await stand.scrape()
    assert found.values("agentcorps_tasks_finished_total", outcome="Failed") == {
        (NAMESPACE, "crew", "Other"): 100,
        (NAMESPACE, "_unknown", "Timeout"): 100,
    }
    assert found.values("agentcorps_tasks") == {(NAMESPACE, "Queued", "_unknown"): 100}
    assert CANARY not in found.text


async def test_series_of_a_pool_end_with_it(stand: Stand) -> None:
    """A deleted pool leaves no series behind."""
    stand.ended(TaskPhase.SUCCEEDED, "Completed")
    assert 'pool="crew"' in (await stand.scrape()).text
    stand.fleet.state.forget_pool(POOL)
    assert 'pool="crew"' not in (await stand.scrape()).text


def test_series_are_bounded_though_nobody_scrapes(stand: Stand) -> None:
    """Ten thousand pools that come and go leave no more than a few hundred series."""
    crew = stand.fleet.state.pools[POOL]
    for number in range(10_000):
        pool = stand.fleet.other_pool(crew, Key(NAMESPACE, f"pool-{number}"))
        stand.meter.pool_scaled(pool.key, 0, 1, "Tasks")
        stand.fleet.state.forget_pool(pool.key)
    family = stand.meter.registry.get_sample_value
    labels = {"namespace": NAMESPACE, "direction": "up", "reason": "Tasks"}
    kept = sum(
        family("agentcorps_scaling_decisions_total", {**labels, "pool": f"pool-{number}"})
        is not None
        for number in range(10_000)
    )
    assert 0 < kept <= FEWEST_SWEPT


async def test_series_that_alerts_look_at_begin_at_zero(stand: Stand) -> None:
    """The first lost agent of a pool is an increase, for its series was there before."""
    assert (await stand.scrape()).value("agentcorps_agent_lost_total", reason="Evicted") == 0
    stand.meter.agent_lost(POOL, "Evicted")
    stand.meter.agent_lost(POOL, "made up")
    found = await stand.scrape()
    assert found.value("agentcorps_agent_lost_total", reason="Evicted") == 1
    assert found.value("agentcorps_agent_lost_total", reason="Other") == 1


async def test_the_format_is_the_one_asked_for(stand: Stand) -> None:
    """OpenMetrics for who accepts it, plain text for everybody else."""
    text, plain = await stand.page.expose("text/html")
    assert plain.startswith("text/plain; version=0.0.4")
    assert not text.endswith(b"# EOF\n")
    text, opened = await stand.page.expose("application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert opened.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
