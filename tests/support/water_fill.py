"""The exact shares of a quota: what whole agents are held against."""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple


class Thirst(NamedTuple):
    """What one pool asks for."""

    wanted: int
    weight: int


def water_fill(pools: Mapping[str, Thirst], water: int) -> dict[str, Fraction]:
    """Return what each pool gets when the level rises for all by weight, until it wants no more.

    Written down from the definition, with fractions; no agent need be whole.
    """
    shares = dict.fromkeys(pools, Fraction(0))
    left = Fraction(water)
    thirsty = {name for name, pool in pools.items() if pool.wanted}
    while thirsty and left:
        weight = sum(pools[name].weight for name in thirsty)
        to_the_brim = ((pools[name].wanted - shares[name]) / pools[name].weight for name in thirsty)
        rise = min(left / weight, *to_the_brim)
        for name in thirsty:
            shares[name] += rise * pools[name].weight
        left -= rise * weight
        thirsty = {name for name in thirsty if shares[name] < pools[name].wanted}
    return shares
