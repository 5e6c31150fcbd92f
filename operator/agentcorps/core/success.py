"""How well the latest attempts of each agent went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.meta import TaskReason
from agentcorps.core.lifecycle import NO_FAULT

if TYPE_CHECKING:
    from agentcorps.core.records import Key

HALF_LIFE_SECONDS: Final = 600.0
"""After this time an attempt counts half."""
_NEUTRAL: Final = NO_FAULT | {TaskReason.CANCELLED}
_DIGITS: Final = 1


class _Record(NamedTuple):
    good: float
    bad: float
    at: float
    """Wall time of the latest attempt, to which both sums are discounted."""


class SuccessRates:
    """Recent success rate of each agent.

    ``(1 + good) / (1 + good + bad)``: both are sums over the attempts that ended, each discounted
    by the half for every ``HALF_LIFE_SECONDS`` before the latest one. That is exponential decay on
    counts, one number per sum, whatever the order in which the ends are heard of (Cormode,
    Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009). The 1 is a success in advance: an agent
    about which nothing is known is taken for a good one, and one failure does not condemn it.

    Between two attempts the rate stays as it is: time alone changes no order. An attempt that ended
    by no fault of the agent says nothing.
    """

    def __init__(self) -> None:
        self._records: dict[Key, _Record] = {}

    def note(self, agent: Key, reason: str, finished_at: float) -> None:
        """An attempt ended for this reason at this wall time."""
        if reason in _NEUTRAL:
            return
        well = reason == TaskReason.COMPLETED
        known = self._records.get(agent, _Record(0.0, 0.0, finished_at))
        latest = max(known.at, finished_at)
        before, weight = _discount(latest - known.at), _discount(latest - finished_at)
        self._records[agent] = _Record(
            known.good * before + (weight if well else 0.0),
            known.bad * before + (0.0 if well else weight),
            latest,
        )

    def rate(self, agent: Key) -> float:
        """The rate, 0 to 1, in steps of a tenth: smaller differences are chance."""
        known = self._records.get(agent)
        if known is None or not known.bad:
            return 1.0
        return round((1 + known.good) / (1 + known.good + known.bad), _DIGITS)

    def forget(self, agent: Key) -> None:
        """The Agent is gone."""
        self._records.pop(agent, None)


def _discount(age: float) -> float:
    # Beyond a thousand half-lives a float is 0 anyway, and the power would overflow.
    return math.exp2(-min(age / HALF_LIFE_SECONDS, 1000.0))
