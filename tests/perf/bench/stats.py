"""Percentiles, medians and how sure they are."""

import random
from collections.abc import Callable, Sequence
from statistics import median

DRAWS = 2000
LEVEL = 0.95


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all lies, interpolated linearly.

    Type 7 of Hyndman and Fan, "Sample quantiles in statistical packages" (1996).

    Args:
        values: At least one, in any order.
        share: From 0 to 1.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("a percentile of nothing")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def bootstrap(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = median,
    *,
    seed: int = 1,
) -> tuple[float, float]:
    """Return the interval in which a statistic lies with 95 %: the percentile bootstrap.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Args:
        values: One figure of each repetition; a single one is its own interval.
        statistic: Taken of each resample.
        seed: The same figures give the same interval.
    """
    dice = random.Random(seed)  # noqa: S311 - repeatable resamples, no secret
    draws = [statistic(dice.choices(values, k=len(values))) for _ in range(DRAWS)]
    edge = (1 - LEVEL) / 2
    return percentile(draws, edge), percentile(draws, 1 - edge)
