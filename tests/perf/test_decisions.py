"""`make perf-decisions`: what decisions cost, in CPU time of the pure core alone.

The bounds stand in ``decisions.yaml``, each with what was measured when it was set. Every measure
is the median of several trials; those that are compared take turns.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import deque
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agentcorps.core import lifecycle
from agentcorps.core.amounts import NANO
from agentcorps.core.charge import charge_of
from agentcorps.core.matching import next_binding
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key
from agentcorps.core.state import State
from support.decide import assume, bindings
from support.fleet import POOL, Fleet
from support.strategies import BIG, NOW, World, a_seat, a_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentcorps.core.actions import Bind
    from agentcorps.core.records import TaskRecord

RANGES: dict[str, dict[str, float]] = yaml.safe_load(
    Path(__file__).with_name("decisions.yaml").read_text(encoding="utf-8")
)
TRIALS = 9
AGENTS = 1_000
STEPS = 2_000
FEW, MANY = 100, 10_000


def crowd(slots: int, spread: int = 1) -> State:
    """Return a state with a thousand agents, in so many namespaces."""
    state = State()
    for number in range(AGENTS):
        key = Key(f"team-{number % spread}", f"crew-{number}")
        labels = {"size": "big"} if number % 2 else {}
        seat = a_seat(number, key=key, slots=slots, labels=labels)
        for step in World((), (seat,)).observations():
            step(state)
    return state


def queue(numbers: Iterable[int], spread: int = 1, **fields: Any) -> list[TaskRecord]:
    """Return waiting tasks, each a millisecond younger than the one before."""
    return [
        a_task(
            number,
            key=Key(f"team-{number % spread}", f"task-{number}"),
            created=NOW.wall + number / 1000,
            priority=number % 7,
            **fields,
        )
        for number in numbers
    ]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of some work, without the collector's."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


class Shift:
    """Busy agents and a line of constant length: one task ends, one comes, one is bound."""

    def __init__(self, waiting: int, **fields: Any) -> None:
        self._fields = fields
        self._versions = count(1_000_000)
        self._numbers = count()
        self.state = crowd(slots=1)
        for task in queue((next(self._numbers) for _ in range(AGENTS)), **fields):
            self.state.observe_task(task, NOW)
        self._running: deque[Bind] = deque()
        for bind in bindings(self.state):
            self._land(bind)
        for task in queue((next(self._numbers) for _ in range(waiting)), **fields):
            self.state.observe_task(task, NOW)

    def run(self, steps: int) -> None:
        """Let so many tasks go through their lives."""
        for _ in range(steps):
            (new,) = queue([next(self._numbers)], **self._fields)
            self.state.observe_task(new, NOW)
            done = self._running.popleft()
            after = lifecycle.succeed(self.state.tasks[done.task_uid], NOW)
            self.state.assume(after)
            self._answer(after)
            self.state.forget_task(done.task_uid)
            self.state.open_poll(done.agent, 1, NOW)
            bind = next_binding(self.state, NOW)
            assert bind is not None
            assume(self.state, bind)
            self._land(bind)

    def _land(self, bind: Bind) -> None:
        """The write of a binding that is assumed succeeds."""
        task = self.state.tasks[bind.task_uid]
        self._answer(lifecycle.bind(task, bind.agent, bind.pod_uid, bind.instance, NOW))
        self._running.append(bind)

    def _answer(self, after: TaskRecord) -> None:
        """The answer of a write comes."""
        self.state.observe_task(replace(after, resource_version=next(self._versions)), NOW)
        self.state.settle(after.uid)


def judge(name: str, measured: list[float]) -> None:
    """Print what was measured, and compare its median with the bound."""
    median = statistics.median(measured)
    most = RANGES[name]["at_most"]
    told = " ".join(f"{each:.3g}" for each in measured)
    print(f"{name}: {median:.3g} (at most {most:g}; trials: {told})")  # noqa: T201 - the result
    assert median <= most, f"{name} is {median:.3g}, more than {most:g}"


@pytest.mark.parametrize("spread", [1, 100])
def test_ten_thousand_tasks_are_bound_to_a_thousand_agents(spread: int) -> None:
    """To decide and assume 10,000 bindings takes less than the bound, in whatever namespaces."""
    seconds = []
    for _ in range(TRIALS):
        state = crowd(slots=10, spread=spread)
        for task in queue(range(MANY), spread):
            state.observe_task(task, NOW)
        seconds.append(cpu_seconds(lambda state=state: bindings(state)))  # type: ignore[misc]
        assert state.binding == MANY
    judge(f"seconds_for_10000_bindings_in_{spread}_namespaces", seconds)


@pytest.mark.parametrize(
    ("whom", "fields"), [("pool", {}), ("selector", {"pool": "", "selector": BIG})]
)
def test_cost_does_not_grow_with_the_line(whom: str, fields: dict[str, Any]) -> None:
    """A task's whole life costs the same with 10,000 tasks in line as with 100."""
    short, long = Shift(FEW, **fields), Shift(MANY, **fields)
    ratios, lives = [], []
    for _ in range(TRIALS):
        little, much = (cpu_seconds(lambda each=each: each.run(STEPS)) for each in (short, long))  # type: ignore[misc]
        ratios.append(much / little)
        lives.append(much / STEPS * 1e6)
    judge(f"microseconds_per_life_for_a_{whom}", lives)
    judge(f"growth_from_100_to_10000_in_line_for_a_{whom}", ratios)


def contended(spread: int) -> Fleet:
    """Return a thousand agents in so many namespaces, each with a quota and a pool of its own."""
    fleet, resources = Fleet(), {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    charge = charge_of({"containers": [{"name": "agent", "resources": resources}]})
    like, size = fleet.pool(), AGENTS // spread
    for number in range(spread):
        pool = Key(f"team-{number}", f"crew-{number}")
        uid = fleet.other_pool(like, pool, replicas=size + 1, charge=charge).uid
        for each in range(size):
            key = Key(pool.namespace, f"{pool.name}-{each}")
            agent = fleet.agent(key.name, key=key, pool=pool.name, pool_uid=uid)
            fleet.pod(agent, charge=charge)
            fleet.hello(key)
        full = {"pods": size * NANO, "requests.cpu": size * NANO}
        quota = QuotaRecord(f"quota-{number}", Key(pool.namespace, "quota"), 1, full, full)
        fleet.state.observe_quota(quota)
    fleet.state.forget_pool(POOL)
    return fleet


@pytest.mark.parametrize("spread", [1, 100])
def test_quotas_are_shared_out_anew_at_every_step(spread: int) -> None:
    """What a step of scaling spends on quotas, with a thousand agents in few or many namespaces."""
    fleet, foreign, costs = contended(spread), ForeignUse(), []
    for _ in range(TRIALS):
        spent = cpu_seconds(lambda: [rooms(fleet.state, foreign, fleet.now) for _ in range(TRIALS)])
        costs.append(spent / TRIALS * 1e3)
    assert all(
        room.granted < room.wanted for room in rooms(fleet.state, foreign, fleet.now).values()
    )
    judge(f"milliseconds_per_step_with_{spread}_quotas", costs)
