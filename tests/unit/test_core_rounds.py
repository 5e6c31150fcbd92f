"""Lanes that are served in turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.rounds import Rounds

LANES = st.sampled_from("abcd")
MOVES = st.lists(st.one_of(st.none(), st.tuples(LANES, st.integers(0, 30))), max_size=80)


def test_a_long_lane_does_not_hold_up_a_short_one() -> None:
    """Behind a thousand items of one lane, the first of another is the second to be taken."""
    rounds: Rounds[int] = Rounds()
    for number in range(1000):
        rounds.put("long", f"long-{number}", number)
    rounds.put("short", "short-0", -1)
    assert [rounds.take()[1] for _ in range(4)] == [0, -1, 1, 2]


def test_the_latest_item_of_a_name_counts_in_the_place_of_the_first() -> None:
    """What is put again is neither taken twice nor sent to the end."""
    rounds: Rounds[str] = Rounds()
    for name, item in (("x", "old"), ("y", "other"), ("x", "new")):
        rounds.put("a", name, item)
    assert [rounds.take(), rounds.take()] == [("x", "new"), ("y", "other")]
    assert not rounds


@given(MOVES)
def test_no_lane_is_served_twice_while_another_waits(
    moves: list[tuple[str, int] | None],
) -> None:
    """Whatever comes and goes: who has waited all along is served before anybody's second time."""
    rounds: Rounds[str] = Rounds()
    waiting: dict[str, set[str]] = {}
    served: dict[str, Counter[str]] = {}
    for move in moves:
        if move is not None:
            lane, number = move
            rounds.put(lane, f"{lane}{number}", lane)
            if lane not in waiting:
                served[lane] = Counter()
            waiting.setdefault(lane, set()).add(f"{lane}{number}")
        elif waiting:
            name, lane = rounds.take()
            waiting[lane].remove(name)
            for others in served.values():
                others[lane] += 1
                assert others[lane] <= 1
            served[lane] = Counter()
            if not waiting[lane]:
                del waiting[lane], served[lane]
        assert bool(rounds) == bool(waiting)
