"""What others use of a quota is told from what is our own, though both are seen late."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.quota.foreign import LAG_SECONDS, ForeignUse
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key, Now

_STEPS = st.lists(
    st.tuples(st.floats(0.1, 3), st.integers(0, 9), st.floats(0, LAG_SECONDS - 0.1)), max_size=25
)
"""Seconds that pass, how many pods of ours there are then, and how late `used` follows."""


def _quota(used: int) -> QuotaRecord:
    return QuotaRecord("q", Key("n", "q"), 1, {"pods": 99}, {"pods": used})


def _see(foreign: ForeignUse, used: int, own: int, at: float, reserved: int = 0) -> int:
    """Tell an estimate what is seen, and return it."""
    quota = _quota(used)
    foreign.see(quota, Counter(pods=own), Counter(pods=reserved), Now(at, at))
    return foreign.of(quota, "pods")


def test_what_others_use_counts_at_once_while_nothing_of_ours_moves() -> None:
    """A foreign pod that comes or goes is known with the next news of the quota."""
    foreign = ForeignUse()
    assert [_see(foreign, used, 10, at) for at, used in enumerate((12, 15, 11, 10))] == [2, 5, 1, 0]
    foreign.keep([])
    assert foreign.of(_quota(0), "pods") == 0


def test_reservations_are_not_taken_for_somebody_elses() -> None:
    """A creation of ours is charged before its answer comes: no foreign use at any moment."""
    foreign = ForeignUse()
    assert _see(foreign, 3, 3, 0) == 0
    assert _see(foreign, 4, 3, 1, reserved=1) == 0
    assert _see(foreign, 4, 4, 2) == 0


def test_a_deletion_that_the_quota_tells_late_is_not_somebody_elses() -> None:
    """Five pods of ours go, and `used` follows seconds later: the estimate stays where it was."""
    foreign = ForeignUse()
    assert _see(foreign, 12, 10, 0) == 2
    assert _see(foreign, 12, 5, 1) == 2
    assert _see(foreign, 7, 5, LAG_SECONDS) == 2


def test_what_stays_charged_is_not_ours_in_the_end() -> None:
    """What the quota goes on charging after the time that it may need is taken, whoever by."""
    foreign = ForeignUse()
    assert _see(foreign, 10, 10, 0) == 0
    assert _see(foreign, 10, 5, 1) == 0
    assert _see(foreign, 10, 5, 1 + LAG_SECONDS) == 5


def test_a_new_leader_takes_what_may_be_its_own_off() -> None:
    """At first sight reservations count as charged already: they may have been."""
    assert _see(ForeignUse(), 10, 4, 0, reserved=3) == 3


@given(st.integers(0, 20), _STEPS)
def test_while_others_do_nothing_the_estimate_stays(
    others: int, steps: list[tuple[float, int, float]]
) -> None:
    """However late `used` follows our own pods, nothing of it is taken for somebody else's."""
    foreign, at = ForeignUse(), 0.0
    history = deque([(-LAG_SECONDS, 0)])
    assert _see(foreign, others, 0, at) == others
    for pause, own, late in steps:
        at += pause
        history.append((at, own))
        charged = [count for since, count in history if since <= at - late][-1]
        assert _see(foreign, others + charged, own, at) == others


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_the_estimate_is_exact_once_nothing_moves(moves: list[tuple[float, int, int]]) -> None:
    """Whatever was seen before, after a while without changes it is `used` less our own."""
    foreign, at = ForeignUse(), 0.0
    for pause, used, own in moves:
        at += pause
        assert 0 <= _see(foreign, used, own, at) <= max(one for _, one, _ in moves)
    _, used, own = moves[-1]
    assert _see(foreign, used, own, at + LAG_SECONDS + 1) == max(0, used - own)
