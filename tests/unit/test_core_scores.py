"""Which of several agents that could take a task gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core import lifecycle
from agentcorps.core.affinity import Affinities
from agentcorps.core.records import Key, Now
from agentcorps.core.success import HALF_LIFE_SECONDS, SuccessRates
from support.decide import bindings
from support.strategies import NOW, a_seat, a_task, bound, state_of

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State

CREW_0 = Key("east", "crew-0")


def ended(task: TaskRecord, number: int, reason: str = "") -> TaskRecord:
    """Return a task that ran on an agent, and succeeded or failed for a reason."""
    running = bound(task, a_seat(number))
    return lifecycle.fail(running, reason, "", NOW) if reason else lifecycle.succeed(running, NOW)


def agent_of(state: State) -> str:
    """Return the agent that gets the one task that can be bound."""
    (bind,) = bindings(state)
    return bind.agent.name


@pytest.mark.parametrize("end", ["", "AgentError"])
def test_a_key_returns_to_the_agent_that_served_it_last(end: str) -> None:
    """After a restart, too, a finished Task tells where the next one of its key is at home."""
    before = ended(a_task(8, affinity_key="s"), 1, end)
    state = state_of(before, a_task(affinity_key="s"), seats=[a_seat(0), a_seat(1)])
    assert agent_of(state) == "crew-1"


def test_a_key_is_known_by_namespace() -> None:
    """The same key in another namespace means somebody else."""
    before = replace(ended(a_task(8, affinity_key="s"), 1), key=Key("west", "task-8"))
    state = state_of(before, a_task(affinity_key="s"), seats=[a_seat(0), a_seat(1)])
    assert agent_of(state) == "crew-0"


def test_the_home_of_a_key_goes_before_an_idler_agent() -> None:
    """An agent that runs a task of the key gets the next one, too, if it has a slot."""
    seats = [a_seat(0, slots=2), a_seat(1, slots=2)]
    running = bound(a_task(8, affinity_key="s"), seats[1])
    state = state_of(running, a_task(affinity_key="s"), seats=seats)
    assert agent_of(state) == "crew-1"


def test_tasks_of_one_key_that_come_together_stay_together() -> None:
    """The first of a new key chooses the agent, the next ones follow as long as it has slots."""
    seats = [a_seat(0, slots=2), a_seat(1, slots=2)]
    tasks = [a_task(number, affinity_key="s") for number in range(3)]
    names = [bind.agent.name for bind in bindings(state_of(*tasks, seats=seats))]
    assert names == ["crew-0", "crew-0", "crew-1"]


def test_a_busy_home_is_not_waited_for() -> None:
    """If the agent of the key has no free slot, another one does the work at once."""
    running = bound(a_task(8, affinity_key="s"), a_seat(1))
    state = state_of(running, a_task(affinity_key="s"), seats=[a_seat(0), a_seat(1)])
    assert agent_of(state) == "crew-0"


def test_the_agent_that_failed_a_task_is_avoided_even_by_its_key() -> None:
    """A retry goes elsewhere though the agent that lost it served the key last."""
    lost = lifecycle.requeue(
        bound(a_task(affinity_key="s"), a_seat(0)), "AgentLost", "", counted=True, now=NOW
    )
    assert agent_of(state_of(lost, seats=[a_seat(0), a_seat(1)])) == "crew-1"


def test_the_key_that_was_used_least_recently_is_forgotten_first() -> None:
    """Memory is bounded: beyond the limit the oldest use goes."""
    known = Affinities(limit=2)
    keys = ["a", "b", "a", "c"]
    for number, key in enumerate(keys):
        task = bound(a_task(number, affinity_key=key), a_seat(number))
        known.note(replace(task, started_at=NOW.wall + number))
    assert [known.agent_for(a_task(affinity_key=key)) for key in "abc"] == ["crew-2", "", "crew-3"]
    assert len(known) == 2
    pods = [bound(a_task(), a_seat(number)).pod_uid for number in range(4)]
    assert [known.warmth(pod) for pod in pods] == [0, 0, 1, 1]


@given(st.permutations(range(4)))
def test_the_latest_service_counts_in_whatever_order_it_is_heard_of(order: list[int]) -> None:
    """A list of finished Tasks in any order leads to the same homes."""
    known = Affinities()
    for number in order:
        task = bound(a_task(number, affinity_key="s"), a_seat(number))
        known.note(replace(task, started_at=NOW.wall + number))
    assert known.agent_for(a_task(affinity_key="s")) == "crew-3"


def test_among_idle_agents_the_more_successful_goes_first() -> None:
    """An agent on which a task failed just now comes after one that has done nothing yet."""
    running = bound(a_task(8), a_seat(0))
    state = state_of(running, seats=[a_seat(0), a_seat(1)])
    failed = lifecycle.fail(running, "AgentError", "", NOW)
    state.observe_task(replace(failed, resource_version=500), NOW)
    state.observe_task(a_task(), NOW)
    assert agent_of(state) == "crew-1"


def test_load_goes_before_success() -> None:
    """An idle agent gets a task though a busy one fails less."""
    seats = [a_seat(0, slots=2), a_seat(1, slots=2)]
    running = bound(a_task(8), seats[0])
    state = state_of(running, bound(a_task(9), seats[1]), seats=seats)
    failed = lifecycle.fail(running, "AgentError", "", NOW)
    state.observe_task(replace(failed, resource_version=500), NOW)
    state.observe_task(a_task(), NOW)
    assert agent_of(state) == "crew-0"


def test_an_end_whose_write_fails_is_counted_once() -> None:
    """What is assumed tells nothing about an agent; what is observed does."""
    running = bound(a_task(8), a_seat(0))
    state = state_of(running, seats=[a_seat(0)])
    failed = lifecycle.fail(running, "AgentError", "", NOW)
    for _ in range(3):
        state.assume(failed)
        state.settle(running.uid)
    vacancy = state.vacancy(CREW_0)
    assert vacancy is not None
    assert vacancy.success == 1.0
    state.observe_task(replace(failed, resource_version=500), NOW)
    vacancy = state.vacancy(CREW_0)
    assert vacancy is not None
    assert vacancy.success == 0.5


ENDS = st.lists(
    st.tuples(st.sampled_from(["Completed", "AgentError", "AgentLost"]), st.integers(0, 5_000)),
    max_size=8,
)


@given(ENDS, st.randoms(use_true_random=False))
def test_a_rate_does_not_depend_on_the_order_of_news(
    ends: list[tuple[str, int]], random: object
) -> None:
    """The same ends give the same rate, within 0 and 1, whenever they are heard of."""
    shuffled = list(ends)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    rates = []
    for heard in (ends, shuffled):
        known = SuccessRates()
        for reason, at in heard:
            known.note(CREW_0, reason, NOW.wall + at)
        rates.append(known.rate(CREW_0))
    assert 0.0 < rates[0] <= 1.0
    assert abs(rates[0] - rates[1]) <= 0.1 + 1e-9  # rounding may tip over


def test_old_failures_fade() -> None:
    """A success long after a failure restores an agent; right after it, it does so in part."""
    for later, rate in ((0.0, 0.7), (HALF_LIFE_SECONDS, 0.8), (20 * HALF_LIFE_SECONDS, 1.0)):
        known = SuccessRates()
        known.note(CREW_0, "Timeout", NOW.wall)
        known.note(CREW_0, "Completed", NOW.wall + later)
        assert known.rate(CREW_0) == rate


@pytest.mark.parametrize("reason", ["AgentStopped", "Evicted", "NotDelivered", "Cancelled"])
def test_ends_without_fault_say_nothing(reason: str) -> None:
    """Goodbyes, evictions, lost deliveries and cancellations leave the rate as it is."""
    known = SuccessRates()
    known.note(CREW_0, reason, NOW.wall)
    assert known.rate(CREW_0) == 1.0


def test_a_new_agent_has_no_past_failures() -> None:
    """An Agent made anew under its old name starts without its predecessor's record."""
    running = bound(a_task(8), a_seat(0))
    state = state_of(running, seats=[a_seat(0)])
    failed = lifecycle.fail(running, "AgentError", "", NOW)
    state.observe_task(replace(failed, resource_version=500), Now(NOW.monotonic, NOW.wall))
    state.observe_agent(replace(a_seat(0).agent, uid="another", resource_version=501))
    vacancy = state.vacancy(CREW_0)
    assert vacancy is not None
    assert vacancy.success == 1.0
