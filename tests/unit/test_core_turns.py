"""Nobody's flood holds up another's single task."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.records import Key, TaskRecord
from support.decide import bindings
from support.strategies import BIG, NOW, Seat, World, a_seat, a_task, state_of

if TYPE_CHECKING:
    from agentcorps.core.state import State

Place = tuple[str, str]
FLOODS = st.dictionaries(
    st.tuples(st.sampled_from(["east", "north", "west"]), st.sampled_from(["band", "crew"])),
    st.integers(1, 12),
    min_size=1,
)


def flood(place: Place, count: int, **fields: Any) -> tuple[list[TaskRecord], Seat]:
    """Return as many tasks for a pool, and an agent that could take them all at once."""
    namespace, pool = place
    tasks = [
        a_task(
            uid=f"{namespace}/{pool}/{number}",
            key=Key(namespace, f"{pool}-{number}"),
            pool=pool,
            **fields,
        )
        for number in range(count)
    ]
    return tasks, a_seat(key=Key(namespace, f"{pool}-0"), pool=pool, slots=100)


def flooded(floods: dict[Place, int]) -> State:
    """Return a state in which more can be bound than may be written at a time."""
    made = [flood(place, count) for place, count in floods.items()]
    tasks = [task for some, _ in made for task in some]
    return state_of(*tasks, seats=[seat for _, seat in made])


def test_a_single_task_does_not_wait_behind_ten_thousand() -> None:
    """With room for two writes, one is that of the namespace that has but one younger task."""
    many, seat = flood(("east", "crew"), 10_000, created=NOW.wall - 500)
    one, other = flood(("west", "crew"), 1)
    found = bindings(state_of(*many, *one, seats=[seat, other]), limit=2)
    assert {bind.agent.namespace for bind in found} == {"east", "west"}


def test_a_pool_does_not_wait_behind_another_of_its_namespace() -> None:
    """Pools that share no agent take turns, though one has the older tasks."""
    many, seat = flood(("east", "band"), 50, created=NOW.wall - 500, priority=9)
    one, other = flood(("east", "crew"), 1)
    found = bindings(state_of(*many, *one, seats=[seat, other]), limit=2)
    assert {bind.agent.name for bind in found} == {"band-0", "crew-0"}


@given(FLOODS, st.integers(1, 40))
def test_namespaces_take_turns(floods: dict[Place, int], room: int) -> None:
    """Of two namespaces that still have work neither has got more than one binding more."""
    left = Counter[str]()
    for (namespace, _), count in floods.items():
        left[namespace] += count
    given_now = Counter(bind.agent.namespace for bind in bindings(flooded(floods), limit=room))
    unserved = [namespace for namespace in left if given_now[namespace] < left[namespace]]
    for namespace in unserved:
        assert all(given_now[other] <= given_now[namespace] + 1 for other in left)


@given(FLOODS, st.integers(1, 40))
def test_pools_of_a_namespace_take_turns(floods: dict[Place, int], room: int) -> None:
    """The same holds for the pools of one namespace among each other."""
    east = {place: count for place, count in floods.items() if place[0] == "east"}
    given_now = Counter(bind.agent.name for bind in bindings(flooded(east), limit=room))
    for (_, pool), count in east.items():
        if given_now[f"{pool}-0"] < count:
            assert all(got <= given_now[f"{pool}-0"] + 1 for got in given_now.values())


def test_turns_are_kept_between_rounds() -> None:
    """One write at a time: the turn goes on where it was left, round after round."""
    state = flooded({("east", "crew"): 3, ("west", "crew"): 3})
    order = [bindings(state, limit=1)[0].agent.namespace for _ in range(6)]
    assert order == ["east", "west"] * 3


def test_who_comes_anew_takes_the_next_turn_and_no_more() -> None:
    """A namespace that had nothing to do is neither last in the round nor paid back."""
    state = flooded({("east", "crew"): 20})
    bindings(state, limit=10)
    tasks, seat = flood(("west", "crew"), 10)
    for step in World(tuple(tasks), (seat,)).observations():
        step(state)
    order = [bind.agent.namespace for bind in bindings(state, limit=4)]
    assert order in (["east", "west"] * 2, ["west", "east"] * 2)


def test_an_agent_goes_to_the_first_in_line_of_its_pool_and_selectors() -> None:
    """Whoever has the turn: the one agent that both could have gets the more urgent task."""
    seat = replace(a_seat(), agent=a_seat(labels={"size": "big"}).agent)
    urgent = a_task(0, pool="", selector=BIG, priority=5)
    for other in (a_task(1), a_task(1, pool="", selector=())):
        (bind,) = bindings(state_of(urgent, other, seats=[seat]))
        assert bind.task_uid == urgent.uid
        (bind,) = bindings(state_of(replace(urgent, priority=-5), other, seats=[seat]))
        assert bind.task_uid == other.uid
