"""Quotas are shared out by priority and weight: nobody gets too much, nothing is left lying."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.quota.shares import Claim, Line, fits, share_out
from agentcorps.core.records import Key
from support.water_fill import Thirst, water_fill

if TYPE_CHECKING:
    from random import Random


def _key(number: int) -> Key:
    return Key("team", f"pool-{number}")


def _granted(claims: list[Claim], lines: list[Line]) -> dict[str, int]:
    return {key.name: grant.agents for key, grant in share_out(claims, lines).items()}


def _exact(pools: list[tuple[int, int]], hard: int) -> dict[str, Fraction]:
    """Return the shares of pools of some (demand, weight), not rounded to agents."""
    return water_fill({f"pool-{n}": Thirst(*pool) for n, pool in enumerate(pools)}, hard)


def _pods(count: int) -> list[Line]:
    return [Line("pods of ResourceQuota q", count, count)]


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[Claim], list[Line]]:
    width = draw(st.integers(1, 3))
    amounts = st.integers(0, 60)
    lines = [
        Line(f"line-{number}", hard := draw(amounts), draw(st.integers(-5, hard)))
        for number in range(width)
    ]
    claims = [
        Claim(
            _key(number),
            draw(st.integers(0, 12)),
            tuple(draw(st.integers(0, 6)) for _ in range(width)),
            least=draw(st.integers(0, 4)),
            priority=draw(st.integers(-1, 1)),
            weight=draw(st.integers(1, 5)),
            useful=draw(st.none() | st.integers(0, 12)),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    return claims, lines


@given(_worlds())
def test_nobody_gets_more_than_it_wants_nor_all_more_than_there_is(
    world: tuple[list[Claim], list[Line]],
) -> None:
    """No grant is above demand, and their sum is within what is left of every line."""
    claims, lines = world
    found = share_out(claims, lines)
    for number, line in enumerate(lines):
        taken = sum(found[claim.pool].agents * claim.costs[number] for claim in claims)
        assert taken <= max(0, line.left)
    for claim in claims:
        assert 0 <= found[claim.pool].agents <= claim.wanted


@given(_worlds())
def test_nothing_is_left_that_somebody_wants(world: tuple[list[Claim], list[Line]]) -> None:
    """What one pool does not ask for is lent: nobody is short while its next agent would fit."""
    claims, lines = world
    found = share_out(claims, lines)
    left = [
        line.left - sum(found[claim.pool].agents * claim.costs[number] for claim in claims)
        for number, line in enumerate(lines)
    ]
    for claim in claims:
        grant = found[claim.pool]
        if grant.agents < claim.wanted:
            assert fits(claim.costs, left, 1) == 0
            assert grant.short_of in {line.name for line in lines}
        else:
            assert grant.short_of == ""


@given(_worlds(), st.randoms())
def test_the_order_of_claims_does_not_matter(
    world: tuple[list[Claim], list[Line]], random: Random
) -> None:
    """The same claims in another order get the same."""
    claims, lines = world
    shuffled = random.sample(claims, len(claims))
    assert share_out(shuffled, lines) == share_out(claims, lines)


@given(_worlds())
def test_who_asks_for_what_it_gets_gets_it(world: tuple[list[Claim], list[Line]]) -> None:
    """Sharing out is idempotent: with demands cut to the grants the grants stay."""
    claims, lines = world
    found = share_out(claims, lines)
    content = [claim._replace(wanted=found[claim.pool].agents) for claim in claims]
    assert _granted(content, lines) == {key.name: grant.agents for key, grant in found.items()}


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5), st.integers(0, 3)), max_size=5),
    st.integers(0, 40),
    st.integers(1, 10),
    st.integers(1, 4),
)
def test_more_quota_takes_nothing_from_anybody(
    pools: list[tuple[int, int, int]], hard: int, more: int, size: int
) -> None:
    """With one resource and agents of one size, more of it never lowers a pool."""
    claims = [
        Claim(_key(number), wanted, (size,), least=least, weight=weight)
        for number, (wanted, weight, least) in enumerate(pools)
    ]
    before, after = _granted(claims, _pods(hard)), _granted(claims, _pods(hard + more))
    assert all(after[name] >= before[name] for name in before)


@given(st.integers(2, 6), st.integers(0, 40), st.integers(1, 5), st.integers(1, 4))
def test_equal_pools_differ_by_one_agent_at_most(
    count: int, hard: int, size: int, weight: int
) -> None:
    """Pools that ask for the same, and more than there is, get the same but for the rounding."""
    claims = [Claim(_key(number), 99, (size,), weight=weight) for number in range(count)]
    found = _granted(claims, _pods(hard)).values()
    assert max(found) - min(found) <= 1


@given(st.lists(st.integers(1, 8), min_size=2, max_size=5), st.integers(0, 200))
def test_shares_are_near_the_exact_water_fill(weights: list[int], hard: int) -> None:
    """Under contention each pool is less than two agents away from its exact share.

    The first agent of each pool comes before its weight, so that nobody starves: that is all that
    a heavy pool may lack, once there is enough for everybody to have one.
    """
    claims = [Claim(_key(n), 10**6, (1,), weight=weight) for n, weight in enumerate(weights)]
    found = _granted(claims, _pods(hard))
    assert sum(found.values()) == hard
    for number, weight in enumerate(weights):
        exact = Fraction(hard * weight, sum(weights))
        assert abs(found[f"pool-{number}"] - exact) <= len(weights)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=1, max_size=6),
    st.integers(0, 200),
)
def test_shares_follow_the_exact_water_fill_under_any_demand(
    pools: list[tuple[int, int]], hard: int
) -> None:
    """Capped by demand and by weight, each pool is within the rounding of its exact share."""
    claims = [
        Claim(_key(n), wanted, (1,), weight=weight) for n, (wanted, weight) in enumerate(pools)
    ]
    found = _granted(claims, _pods(hard))
    for name, exact in _exact(pools, hard).items():
        assert abs(found[name] - exact) <= len(pools)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4)), min_size=1, max_size=3),
    st.integers(100, 700),
)
def test_rounding_costs_little_of_a_large_quota(pools: list[tuple[int, int]], hard: int) -> None:
    """For some hundred places and three pools the exact share is missed by two agents at most."""
    claims = [
        Claim(_key(n), wanted, (1,), weight=weight) for n, (wanted, weight) in enumerate(pools)
    ]
    found = _granted(claims, _pods(hard))
    exact = _exact(pools, hard)
    assert max(abs(found[name] - share) for name, share in exact.items()) <= 2


@given(_worlds())
def test_a_higher_priority_is_served_as_if_it_were_alone(
    world: tuple[list[Claim], list[Line]],
) -> None:
    """What pools of a lower priority ask for changes nothing for those of the highest."""
    claims, lines = world
    claims = [claim._replace(useful=None) for claim in claims]
    top = max((claim.priority for claim in claims), default=0)
    first = [claim for claim in claims if claim.priority == top]
    found = share_out(claims, lines)
    assert {claim.pool: found[claim.pool].agents for claim in first} == {
        key: grant.agents for key, grant in share_out(first, lines).items()
    }


@given(_worlds())
def test_everybody_gets_its_least_before_weights_decide(
    world: tuple[list[Claim], list[Line]],
) -> None:
    """Where all pools of a priority have room for their least, each of them gets it."""
    claims, lines = world
    claims = [claim._replace(priority=0, useful=None) for claim in claims]
    least = {claim.pool: min(claim.least, claim.wanted) for claim in claims}
    fit = all(
        sum(least[claim.pool] * claim.costs[number] for claim in claims) <= max(0, line.left)
        for number, line in enumerate(lines)
    )
    if fit:
        found = share_out(claims, lines)
        assert all(found[pool].agents >= count for pool, count in least.items())


@given(_worlds())
def test_what_is_of_no_use_is_given_only_where_nobody_is_short(
    world: tuple[list[Claim], list[Line]],
) -> None:
    """Beyond its use a pool gets places that no other pool's useful agent would fit in."""
    claims, lines = world
    useful = {
        claim.pool: claim.wanted if claim.useful is None else min(claim.useful, claim.wanted)
        for claim in claims
    }
    found = share_out(claims, lines)
    first = share_out([claim._replace(wanted=useful[claim.pool]) for claim in claims], lines)
    for claim in claims:
        assert found[claim.pool].agents >= first[claim.pool].agents
    beyond = any(found[claim.pool].agents > useful[claim.pool] for claim in claims)
    if beyond:
        assert all(
            first[claim.pool].agents == useful[claim.pool]
            or fits(claim.costs, _left(claims, lines), 1) == 0
            for claim in claims
        )


def _left(claims: list[Claim], lines: list[Line]) -> list[int]:
    found = share_out(claims, lines)
    return [
        line.left - sum(found[claim.pool].agents * claim.costs[number] for claim in claims)
        for number, line in enumerate(lines)
    ]


def test_weights_one_two_four() -> None:
    """Seven places for three pools of weights 1, 2 and 4 are one, two and four; so are 700."""
    claims = [Claim(_key(n), 1000, (1,), weight=weight) for n, weight in enumerate((1, 2, 4))]
    assert list(_granted(claims, _pods(7)).values()) == [1, 2, 4]
    assert list(_granted(claims, _pods(700)).values()) == [100, 200, 400]


def test_what_one_does_not_want_the_others_share_by_weight() -> None:
    """A pool that asks for less than its share leaves the rest to the others."""
    wanted = (1000, 10, 1000)
    claims = [Claim(_key(n), wanted[n], (1,), weight=weight) for n, weight in enumerate((1, 2, 4))]
    assert list(_granted(claims, _pods(60)).values()) == [10, 10, 40]


def test_priority_comes_before_weight_and_least() -> None:
    """A higher priority is served in full first; the lower ones get what is left."""
    claims = [
        Claim(_key(0), 5, (1,), least=5, weight=100),
        Claim(_key(1), 6, (1,), priority=1),
    ]
    assert list(_granted(claims, _pods(8)).values()) == [2, 6]


def test_the_least_comes_before_the_share() -> None:
    """Within a priority everybody gets its minimum, before weights decide on the rest."""
    claims = [Claim(_key(0), 9, (1,), least=4), Claim(_key(1), 9, (1,), weight=9)]
    assert list(_granted(claims, _pods(8)).values()) == [4, 4]


def test_dominant_shares_are_equal() -> None:
    """The example of the paper: 9 CPUs and 18 GiB for <1 CPU, 4 GiB> and <3 CPUs, 1 GiB>."""
    lines = [Line("cpu", 9, 9), Line("memory", 18, 18)]
    claims = [Claim(_key(0), 99, (1, 4)), Claim(_key(1), 99, (3, 1))]
    assert list(_granted(claims, lines).values()) == [3, 2]


@pytest.mark.parametrize(("left", "expected"), [(-3, 0), (0, 0), (7, 3), (100, 9)])
def test_fits(left: int, expected: int) -> None:
    """As many as the scarcest line has room for, and no more than wanted; what is free is free."""
    assert fits((2, 0), (left, -1), 9) == expected


def test_pools_that_no_quota_charges_get_all() -> None:
    """A quota that is not about a pool's pods does not limit it."""
    assert _granted([Claim(_key(0), 9, (0,))], _pods(0)) == {"pool-0": 9}
