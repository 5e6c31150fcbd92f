"""Readers are told of what concerns them, once, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentcorps.core.news import FULL_PASS_SECONDS, Watch
from agentcorps.core.records import Key
from support.control_room import ControlRoom
from support.fleet import NAMESPACE, POOL, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, OTHER = Key(NAMESPACE, "crew-0"), Key(NAMESPACE, "crew-1")
ALONE = Key(NAMESPACE, "")


def _fleet() -> tuple[Fleet, Watch, Watch]:
    """Return a fleet of two agents, and watches of agents and pools that have seen it."""
    fleet = Fleet()
    fleet.pool(replicas=2)
    for key in (ONE, OTHER):
        fleet.ready_agent(key.name)
    agents, pools = fleet.state.news.of_agents(), fleet.state.news.of_pools()
    agents.take_due(fleet.seconds)
    pools.take_due(fleet.seconds)
    return fleet, agents, pools


def test_a_new_reader_has_to_look_at_everything() -> None:
    """Agents that only a pod tells of included, and the pools that only agents tell of."""
    fleet = Fleet()
    fleet.pool()
    fleet.agent("loner", pool="")
    gone = fleet.agent("gone", pool="")
    fleet.pod(gone)
    fleet.state.forget_agent(gone.key)
    news = fleet.state.news
    everybody = {Key(NAMESPACE, "loner"), Key(NAMESPACE, "gone")}
    assert set(news.of_agents().take_due(fleet.seconds)) == everybody
    assert set(news.of_pools().take_due(fleet.seconds)) == {POOL, ALONE}


CHANGES: dict[str, Callable[[Fleet], object]] = {
    "object": lambda fleet: fleet.change_agent(ONE, generation=2),
    "pod": lambda fleet: fleet.change_pod(ONE, deleting=True),
    "pod gone": lambda fleet: fleet.state.forget_pod(ONE),
    "hello": lambda fleet: fleet.hello(ONE, "instance-2"),
    "goodbye": lambda fleet: fleet.state.leave(ONE),
    "session gone": lambda fleet: fleet.state.close_session(ONE),
    "suspended": lambda fleet: fleet.state.suspend(ONE),
    "task": lambda fleet: fleet.task(ONE),
    "gone": lambda fleet: fleet.state.forget_agent(ONE),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_about_an_agent_is_news_of_it_alone(what: str) -> None:
    """Each reader looks at it once."""
    fleet, agents, _ = _fleet()
    CHANGES[what](fleet)
    assert agents.take_due(fleet.seconds) == [ONE]
    assert agents.take_due(fleet.seconds) == []


def test_only_what_its_pool_has_to_know_of_an_agent_is_news_of_the_pool() -> None:
    """That it drains, is deleted or quarantined, or that its pod is; not that they change."""
    fleet, _, pools = _fleet()
    fleet.change_pod(ONE, ready=False)
    fleet.task(ONE)
    fleet.change_agent(ONE, status={"phase": "Busy"})
    assert pools.take_due(fleet.seconds) == []
    fleet.change_pod(ONE, deleting=True)
    assert pools.take_due(fleet.seconds) == [POOL]
    fleet.drain(ONE)
    assert pools.take_due(fleet.seconds) == [POOL]
    for change in ({"deleting": True}, {"quarantined": True}, {"template_hash": "another"}):
        fleet.change_agent(OTHER, **change)
        assert pools.take_due(fleet.seconds) == [POOL]
    fleet.state.forget_agent(OTHER)
    assert pools.take_due(fleet.seconds) == [POOL]
    fleet.pool(replicas=3)
    assert pools.take_due(fleet.seconds) == [POOL]
    fleet.state.forget_pool(POOL)
    assert pools.take_due(fleet.seconds) == [POOL]


def test_the_number_of_tasks_is_news_for_those_who_count() -> None:
    """Scaling to a given number does not look at a pool for each task."""
    fleet, _, pools = _fleet()
    counts = fleet.state.news.of_pools(counts=True)
    counts.take_due(fleet.seconds)
    fleet.task()
    assert counts.take_due(fleet.seconds) == [POOL]
    assert pools.take_due(fleet.seconds) == []


def test_a_poll_that_follows_another_is_no_news() -> None:
    """A thousand idle agents poll all the time."""
    fleet, agents, _ = _fleet()
    fleet.state.open_poll(ONE, 1, fleet.now)
    fleet.seconds += 30
    fleet.state.close_poll(ONE, fleet.now)
    fleet.state.open_poll(ONE, 1, fleet.now)
    assert agents.take_due(fleet.seconds) == []


def test_a_poll_that_no_other_one_follows_is_news() -> None:
    """From now on the agent may be silent."""
    fleet, agents, _ = _fleet()
    fleet.state.open_poll(ONE, 1, fleet.now)
    fleet.state.close_poll(ONE, fleet.now)
    assert agents.take_due(fleet.seconds) == [ONE]


@pytest.mark.parametrize(("silence", "news"), [(14.0, []), (15.0, [ONE])])
@pytest.mark.parametrize("polls", [False, True])
def test_a_sign_of_life_is_news_after_a_silence(
    silence: float, news: list[Key], *, polls: bool
) -> None:
    """A heartbeat or a poll in time changes nothing; one that comes after the last moment does."""
    fleet, agents, _ = _fleet()
    fleet.seconds += silence
    if polls:
        fleet.state.open_poll(ONE, 1, fleet.now)
    else:
        fleet.state.touch(ONE, fleet.now)
    assert agents.take_due(fleet.seconds) == news


def test_everything_is_looked_at_now_and_then() -> None:
    """What was missed, for whatever reason, is made up for."""
    fleet, agents, pools = _fleet()
    later = fleet.seconds + FULL_PASS_SECONDS
    assert agents.take_due(later - 1) == []
    assert set(agents.take_due(later)) == {ONE, OTHER}
    assert pools.take_due(later) == [POOL]


async def test_the_first_hello_of_all_concerns_all() -> None:
    """From then on a new leader waits for the hello of the others."""
    room = ControlRoom()
    who = room.add_agent("crew-0")
    room.add_agent("crew-1")
    agents = room.state.news.of_agents()
    agents.take_due(room.clock.seconds)
    await room.hello(who)
    assert set(agents.take_due(room.clock.seconds)) == {ONE, OTHER}
    await room.hello(who, "instance-two")
    assert agents.take_due(room.clock.seconds) == [ONE]
