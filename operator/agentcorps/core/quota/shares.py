"""Who gets how much of what there is: whole agents, by priority and weight.

Dominant resource fairness (Ghodsi et al., NSDI 2011) with weights: of the pools of one priority,
the next agent goes to the one whose share of its scarcest resource, divided by its weight, is the
lowest. What one pool does not ask for, the others get.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from math import inf, lcm
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.core.records import Key


class Line(NamedTuple):
    """One resource of one quota."""

    name: str
    """Such as ``requests.cpu of ResourceQuota team``."""
    hard: int
    """All of it, used or not: what a share is a share of."""
    left: int
    """What is there to be shared out."""


class Claim(NamedTuple):
    """What one pool asks for."""

    pool: Key
    wanted: int
    """Agents."""
    costs: tuple[int, ...]
    """What each of its agents takes of each line."""
    least: int = 0
    """Agents that it gets before the others of its priority get more than their own least."""
    priority: int = 0
    weight: int = 1
    useful: int | None = None
    """Agents that it has a use for; None: all that it wants. The others get only what is left when
    everybody, of whatever priority, has what is of use."""


class Grant(NamedTuple):
    """What one pool gets."""

    agents: int
    short_of: str = ""
    """The line that the next agent does not fit in; empty when it gets all that it wants."""


def fits(costs: Sequence[int], left: Sequence[int], wanted: int) -> int:
    """Return how many of so many agents fit into what is left."""
    room = min(
        (max(0, free) // cost for cost, free in zip(costs, left, strict=True) if cost),
        default=wanted,
    )
    return min(wanted, room)


def share_out(claims: Iterable[Claim], lines: Sequence[Line]) -> dict[Key, Grant]:
    """Share out what is left of some quotas.

    The order of the claims does not matter. No pool gets more than it wants, and all of them
    together no more than there is. With one resource and agents of one size, more of it takes no
    agent from anybody; with several it may.
    """
    return dict(_shared_out(tuple(sorted(claims, key=lambda one: one.pool)), tuple(lines)))


# Steps come many times a second, and demand and quota of a namespace seldom change.
@lru_cache(maxsize=1024)
def _shared_out(ordered: tuple[Claim, ...], lines: tuple[Line, ...]) -> Mapping[Key, Grant]:
    left = [line.left for line in lines]
    granted = dict.fromkeys((claim.pool for claim in ordered), 0)
    _serve(ordered, lines, {claim.pool: _useful(claim) for claim in ordered}, left, granted)
    _serve(ordered, lines, {claim.pool: claim.wanted for claim in ordered}, left, granted)
    return {
        claim.pool: Grant(
            granted[claim.pool],
            _short_of(claim, lines, left) if granted[claim.pool] < claim.wanted else "",
        )
        for claim in ordered
    }


def _useful(claim: Claim) -> int:
    return claim.wanted if claim.useful is None else min(claim.useful, claim.wanted)


def _serve(
    ordered: Sequence[Claim],
    lines: Sequence[Line],
    limits: Mapping[Key, int],
    left: list[int],
    granted: dict[Key, int],
) -> None:
    """Give everybody up to its limit: by priority, then everybody's least, then by weight."""
    for priority in sorted({claim.priority for claim in ordered}, reverse=True):
        peers = [claim for claim in ordered if claim.priority == priority]
        steps = _steps(peers, lines)
        least = {claim.pool: min(claim.least, limits[claim.pool]) for claim in peers}
        _fill(peers, steps, least, left, granted)
        _fill(peers, steps, limits, left, granted)


def _steps(peers: Sequence[Claim], lines: Sequence[Line]) -> list[int]:
    """Return by how much one more agent raises each pool's weighted dominant share.

    On a common scale of whole numbers: compared as fractions of floating point, equal shares would
    differ in their last digit.
    """
    exact = [
        max(
            (
                Fraction(cost, max(1, line.hard) * max(1, claim.weight))
                for cost, line in zip(claim.costs, lines, strict=True)
            ),
            default=Fraction(0),
        )
        for claim in peers
    ]
    scale = lcm(*(one.denominator for one in exact))
    return [int(one * scale) for one in exact]


def _fill(
    peers: Sequence[Claim],
    steps: Sequence[int],
    limits: Mapping[Key, int],
    left: list[int],
    granted: dict[Key, int],
) -> None:
    """Give agents one by one until everybody has its limit, or nothing fits any more."""
    heap = [(granted[peer.pool] * steps[i], i) for i, peer in enumerate(peers)]
    heapify(heap)
    while heap:
        share, index = heap[0]
        peer = peers[index]
        missing = limits[peer.pool] - granted[peer.pool]
        if missing <= 0 or not fits(peer.costs, left, 1):
            heappop(heap)
            continue
        # What nobody competes for is given at once.
        alone = len(heap) == 1 or not any(peer.costs)
        count = fits(peer.costs, left, missing) if alone else 1
        granted[peer.pool] += count
        for line, cost in enumerate(peer.costs):
            left[line] -= cost * count
        heapreplace(heap, (share + steps[index] * count, index))


def _short_of(claim: Claim, lines: Sequence[Line], left: Sequence[int]) -> str:
    rooms = [
        (max(0, free) // cost if cost else inf, line.name)
        for cost, free, line in zip(claim.costs, left, lines, strict=True)
    ]
    return min(rooms)[1] if rooms else ""
