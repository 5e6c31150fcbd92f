"""What is known of the metrics that pools scale by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agentcorps.core.metric_sources import Source


class Reading(NamedTuple):
    """A value of a metric, and the pool as it was when the value was read.

    A value is held against the agents that it was read with: those that came since have not had an
    effect on it yet, and to count them would ask for more with every one that starts.
    """

    value: float
    """A finite number."""
    ready: int
    """Agents that were connected."""
    target: int
    """Agents that the pool was to have."""


class Metric(NamedTuple):
    """What is known of the metric of one policy."""

    reading: Reading | None = None
    """The last one; None when there was none yet."""
    failures: int = 0
    """Attempts to read it that failed since."""
    problem: str = ""
    """Why the last one failed, for people; empty when it did not."""


UNREAD: Final = Metric()


class Gauges:
    """The last reading of each metric, by UID of the pool and source."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Source, Metric]] = {}

    def of(self, pool_uid: str, source: Source) -> Metric:
        """What is known of a metric."""
        return self._known.get(pool_uid, {}).get(source, UNREAD)

    def read(self, pool_uid: str, source: Source, reading: Reading) -> None:
        """A metric was read."""
        self._known.setdefault(pool_uid, {})[source] = Metric(reading)

    def failed(self, pool_uid: str, source: Source, problem: str) -> None:
        """A metric could not be read; ``problem`` says why, for people."""
        known = self.of(pool_uid, source)
        metric = Metric(known.reading, known.failures + 1, problem)
        self._known.setdefault(pool_uid, {})[source] = metric

    def forget(self, pool_uid: str, source: Source) -> None:
        """Nobody asks for the metric any more."""
        of_pool = self._known.get(pool_uid, {})
        of_pool.pop(source, None)
        if not of_pool:
            self._known.pop(pool_uid, None)
