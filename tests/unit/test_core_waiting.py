"""In which order tasks are served."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.waiting import rank
from support.strategies import NOW, a_task

AGINGS = st.sampled_from([1.0, 7.5, 60.0, 3600.0])
PRIORITIES = st.integers(-1000, 1000)
AGES = st.integers(0, 10**7)


@given(AGINGS, PRIORITIES, PRIORITIES, AGES, AGES, st.integers(0, 10**7))
def test_the_order_is_that_of_aged_priorities_at_any_time(
    aging: float, priority: int, other: int, age: int, other_age: int, later: int
) -> None:
    """Who has the higher aged priority is ahead, now and at any time later."""
    mine = a_task(0, priority=priority, created=NOW.wall - age)
    yours = a_task(1, priority=other, created=NOW.wall - other_age)
    lead = priority + (age + later) / aging - other - (other_age + later) / aging
    if abs(lead) > 1e-6:
        assert (rank(mine, aging) < rank(yours, aging)) == (lead > 0)


@given(AGINGS, PRIORITIES, PRIORITIES, AGES)
def test_of_equal_age_the_higher_priority_goes_first(
    aging: float, priority: int, other: int, age: int
) -> None:
    """Two tasks created at once are served by priority."""
    mine = a_task(0, priority=priority, created=NOW.wall - age)
    yours = a_task(1, priority=other, created=NOW.wall - age)
    if priority != other:
        assert (rank(mine, aging) < rank(yours, aging)) == (priority > other)


@given(AGINGS, PRIORITIES, AGES, AGES)
def test_of_equal_priority_the_older_goes_first(
    aging: float, priority: int, age: int, other_age: int
) -> None:
    """Two tasks of one priority are served by age, and by name if that is equal too."""
    mine = a_task(0, priority=priority, created=NOW.wall - age)
    yours = a_task(1, priority=priority, created=NOW.wall - other_age)
    assert (rank(mine, aging) < rank(yours, aging)) == (age >= other_age)


@given(AGINGS, PRIORITIES, PRIORITIES, AGES)
def test_nothing_starves(aging: float, priority: int, other: int, age: int) -> None:
    """A task is ahead of all that are created 1000 - priority agings after it, whatever they are.

    So only finitely many are ever served before it.
    """
    mine = a_task(0, priority=priority, created=NOW.wall - age)
    overtaken = mine.created + (1000 - priority) * aging
    assert rank(mine, aging) < rank(a_task(1, priority=other, created=overtaken + 1), aging)


@pytest.mark.parametrize(("later", "first"), [(59, "urgent"), (61, "patient")])
def test_a_minute_is_worth_a_step(later: float, first: str) -> None:
    """With an aging of 60 s, one step of priority is a head start of one minute."""
    tasks = {
        "patient": a_task(0, priority=0, created=NOW.wall),
        "urgent": a_task(1, priority=1, created=NOW.wall + later),
    }
    assert min(tasks, key=lambda name: rank(tasks[name], 60.0)) == first
