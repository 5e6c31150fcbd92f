"""Decisions on quotas, carried out again and again while everything is seen late."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.core.quota.foreign import LAG_SECONDS
from support.quota_loop import QuotaLoop
from support.water_fill import Thirst, water_fill

WEIGHTS = {"small": 1, "middle": 2, "large": 4}
LAGS = st.integers(0, int(LAG_SECONDS) - 1)
RIPE_SECONDS = 61
SETTLED_SECONDS = 120
"""More than all lags together, a few times over."""


@settings(max_examples=20)
@given(
    st.integers(7, 40),
    st.lists(st.tuples(st.sampled_from(sorted(WEIGHTS)), st.integers(0, 40)), max_size=4),
    LAGS,
    LAGS,
)
def test_pools_reach_their_shares_without_detours(
    hard: int, flips: list[tuple[str, int]], ends: int, lag: int
) -> None:
    """However long pods and the quota's count take to end, no pool turns between two flips.

    No creation is refused, nothing is beyond the quota, and all end at the exact water-fill, but
    for the rounding.
    """
    loop = QuotaLoop(hard, WEIGHTS, ends=ends, lag=lag)
    wanted = dict.fromkeys(WEIGHTS, hard)
    loop.run(SETTLED_SECONDS + RIPE_SECONDS)
    for name, count in flips:
        wanted[name] = count
        loop.want(name, count, WEIGHTS[name])
        loop.run(SETTLED_SECONDS + RIPE_SECONDS)
        pods = loop.pods()
        assert pods.total() == min(hard, sum(wanted.values()))
        exact = water_fill({one: Thirst(wanted[one], WEIGHTS[one]) for one in WEIGHTS}, hard)
        assert all(abs(pods[one] - share) <= len(WEIGHTS) for one, share in exact.items())
    assert (loop.refused, loop.turns) == (0, 0)


@settings(max_examples=20)
@given(st.lists(st.integers(-5, 5), max_size=6), LAGS, LAGS)
def test_what_others_do_is_followed(moves: list[int], ends: int, lag: int) -> None:
    """Others' pods come and go beside a wave of ours: in the end all that is left is ours."""
    loop = QuotaLoop(20, WEIGHTS, ends=ends, lag=lag)
    others = 0
    loop.run(2)
    for move in moves:
        before = loop.charged
        loop.strangers(max(move, -others))
        others += loop.charged - before
        loop.run(3)
    loop.run(3 * SETTLED_SECONDS + RIPE_SECONDS)
    assert loop.pods().total() == 20 - others
