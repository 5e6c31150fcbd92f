"""W5: how soon three pools that share a quota hold what is theirs, after what they want flips."""

from agentcorps.core.autoscaling.load import Load
from agentcorps.core.records import Now
from agentcorps.core.simulation.outcome import Sample
from agentcorps.core.simulation.plan import Job, Plan, Setting, Verdict
from agentcorps.core.simulation.run import simulate
from perf.bench.client import Json
from support.simulations import a_pool, a_quota

WEIGHTS = (1, 2, 4)
FLIPS = ((1, 1, 1), (0, 0.2, 1.3), (1, 1, 1), (1.3, 0, 0.1), (0.1, 1, 1), (1, 0.1, 0.5), (1, 1, 1))
"""What each pool wants, as a share of the quota, from one flip to the next."""
FLIP_SECONDS = 120.0
LATER_SECONDS = 10.0
"""After a flip, until somebody looks."""


class Told:
    """A number of agents that somebody sets, again and again."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        """One number for each stretch between two flips."""
        self._numbers = numbers

    def decide(self, load: Load, now: Now) -> Verdict:  # noqa: ARG002 - whatever there is to do
        """Return the number of now, and when the next one comes."""
        place = min(int(now.monotonic / FLIP_SECONDS), len(self._numbers) - 1)
        due = (place + 1) * FLIP_SECONDS - now.monotonic
        return Verdict(self._numbers[place], due if place + 1 < len(self._numbers) else None)


def water_fill(demands: tuple[float, ...], weights: tuple[int, ...], total: float) -> list[float]:
    """Return the exact weighted max-min fair shares: what nobody wants is shared among the rest."""
    shares, open_ = [0.0] * len(demands), set(range(len(demands)))
    left = total
    while open_:
        level = left / sum(weights[one] for one in open_)
        content = {one for one in open_ if demands[one] <= weights[one] * level}
        for one in content or open_:
            shares[one] = demands[one] if content else weights[one] * level
            left -= shares[one]
        open_ -= content or set(open_)
    return shares


def jain(values: list[float]) -> float:
    """Return how equal some numbers are, 1 at best (Jain, Chiu, Hawe 1984); 1 of none."""
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else 1.0


def flips(quota: int, *, shared: bool) -> Json:
    """Flip what three pools want; returns how far they are from the water-fill, 10 s after each."""
    pools = [a_pool(f"w{weight}", weight=weight, maxReplicas=quota) for weight in WEIGHTS]
    wanted = [tuple(round(share * quota) for share in shares) for shares in FLIPS]
    end = len(FLIPS) * FLIP_SECONDS
    plans = [
        # One Task that nobody has a slot for keeps the clock going to the end.
        Plan(pool, Told(numbers), [Job(end, 1.0)], start_seconds=5.0)
        for pool, numbers in zip(pools, zip(*wanted, strict=True), strict=True)
    ]
    setting = Setting((a_quota(quota),), shared=shared, sample_seconds=1.0)
    outcome = simulate(plans, setting)
    lines = [outcome.pools[pool.key].samples for pool in pools]
    held = [[_at(line, number * FLIP_SECONDS + LATER_SECONDS).agents for line in lines]
            for number in range(len(FLIPS))]  # fmt: skip
    exact = [water_fill(numbers, WEIGHTS, quota) for numbers in wanted]
    far = [
        sum(abs(have - due) for have, due in zip(*both, strict=True)) / quota
        for both in zip(held, exact, strict=True)
    ]
    unmet = [
        [have / weight for have, want, weight in zip(*each, WEIGHTS, strict=True) if have < want]
        for each in zip(held, wanted, strict=True)
    ]
    return {
        "farthest": round(max(far), 4),
        "jain": round(min(map(jain, unmet)), 4),
        "violations": sum(
            sum(one.agents for one in now) > quota for now in zip(*lines, strict=True)
        ),
        "flaps": sum(told.flaps for told in outcome.pools.values()),
        "held": held,
        "water_fill": exact,
    }


def _at(line: list[Sample], at: float) -> Sample:
    return max((one for one in line if one.at <= at), key=lambda one: one.at)
