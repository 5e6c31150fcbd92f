"""Reads the metrics that pools scale by, each at its own interval, and lets the autoscaler know.

Reading happens beside the step: a server that is slow, or does not answer, delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from math import isfinite
from random import SystemRandom
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from agentcorps.core.agenda import Agenda
from agentcorps.core.autoscaling.load import load_of
from agentcorps.core.gauges import Reading
from agentcorps.core.metric_sources import sources
from agentcorps.ports import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.control.kicks import Kicks
    from agentcorps.control.metric_reader import MetricReader
    from agentcorps.core.metric_sources import Source
    from agentcorps.core.records import Key, PoolRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Leadership

log = structlog.get_logger(__name__)

MAX_READINGS: Final = 64
"""At a time."""
MAX_READINGS_PER_SERVER: Final = 4
JITTER: Final = 0.1
"""Share of an interval by which it is shortened at random, so that pools do not stay in step."""
_RANDOM = SystemRandom()


class Errand(NamedTuple):
    """One metric of one pool."""

    pool: Key
    uid: str
    """Of the pool."""
    source: Source


def shortened(seconds: float) -> float:
    """Return an interval without up to a tenth of it."""
    return _RANDOM.uniform(seconds * (1 - JITTER), seconds)


class SampleMetrics:
    """Starts the readings that are due. Nothing is read for pools that are paused."""

    def __init__(
        self,
        state: State,
        reader: MetricReader,
        leadership: Leadership,
        clock: Clock,
        kicks: Kicks,
        jitter: Callable[[float], float] = shortened,
    ) -> None:
        """``jitter`` makes of an interval the time until the next reading, in seconds."""
        self._state = state
        self._reader = reader
        self._leadership = leadership
        self._clock = clock
        self._kicks = kicks
        self._jitter = jitter
        self._pools = state.news.of_pools()
        self._names: dict[Key, tuple[str, ...]] = {}
        """Of the errands of each pool."""
        self._errands: dict[str, Errand] = {}
        self._agenda: Agenda[str] = Agenda()
        self._queue: dict[str, None] = {}
        """Names of errands that are due, the first come first."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._asked: Counter[str] = Counter()
        """Readings that run, by server."""

    async def step(self) -> float | None:
        """Start what is due; returns the seconds until the next reading is."""
        now = self._clock.now().monotonic
        for key in self._pools.take_due(now):
            self._plan(key, now)
        if not self._leadership.leading:
            return None
        self._queue.update(dict.fromkeys(self._agenda.take_due(now)))
        self._start()
        alarm = self._agenda.next_alarm()
        return None if alarm is None else alarm - now

    def _plan(self, key: Key, now: float) -> None:
        """Read what the pool's policies name now, and nothing else."""
        wanted = _errands(self._state.pools.get(key))
        for name in self._names.pop(key, ()):
            if wanted.get(name) != self._errands[name]:
                self._drop(name)
        for name, errand in wanted.items():
            if name not in self._errands:
                self._errands[name] = errand
                self._agenda.wake(name, now)
        if wanted:
            self._names[key] = tuple(wanted)

    def _drop(self, name: str) -> None:
        errand = self._errands.pop(name)
        self._agenda.forget(name)
        self._queue.pop(name, None)
        self._state.gauges.forget(errand.uid, errand.source)
        running = self._running.get(name)
        if running is not None:
            running.cancel()

    def _start(self) -> None:
        for name in list(self._queue):
            if len(self._running) >= MAX_READINGS:
                return
            errand = self._errands[name]
            server = errand.source.server
            if name not in self._running and self._asked[server] < MAX_READINGS_PER_SERVER:
                del self._queue[name]
                self._asked[server] += 1
                reading = asyncio.create_task(self._read(name, errand), name=f"metric {name}")
                self._running[name] = reading
                reading.add_done_callback(partial(self._ended, name, server))

    def _ended(self, name: str, server: str, _: asyncio.Task[None]) -> None:
        del self._running[name]
        self._asked[server] -= 1
        if not self._asked[server]:
            del self._asked[server]
        self._kicks.metrics()

    async def _read(self, name: str, errand: Errand) -> None:
        seconds, value, problem = errand.source.timeout_seconds, 0.0, ""
        try:
            async with asyncio.timeout(seconds):
                value = await self._reader.read(errand.source, errand.pool.namespace)
            if not isfinite(value):
                problem = f"its value is {value}"
        except MetricError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"no answer within {seconds} s"
        except Exception:
            log.exception("a metric could not be read", pool=str(errand.pool))
            problem = "it could not be read: the operator's log has the error"
        pool = self._state.pools.get(errand.pool)
        if self._errands.get(name) is errand and pool is not None:
            self._note(pool, errand, value, problem)
            pause = self._jitter(errand.source.polling_seconds)
            self._agenda.wake(name, self._clock.now().monotonic + pause)

    def _note(self, pool: PoolRecord, errand: Errand, value: float, problem: str) -> None:
        """Put what was read into the state, and have the pool decided about if it is news."""
        gauges = self._state.gauges
        before = gauges.of(errand.uid, errand.source)
        if problem:
            gauges.failed(errand.uid, errand.source, problem)
        else:
            ready = load_of(self._state, pool).ready
            reading = Reading(value, ready, self._state.targets.of(pool))
            gauges.read(errand.uid, errand.source, reading)
        if gauges.of(errand.uid, errand.source) == before:
            return
        if problem != before.problem:
            log.info("metric", pool=str(errand.pool), why=problem or "it can be read again")
        self._state.news.count(errand.pool)
        self._kicks.autoscale()


def _errands(pool: PoolRecord | None) -> dict[str, Errand]:
    """Return what is to be read for a pool, by names that are unique among all pools."""
    if pool is None or pool.scaling is None or pool.invalid or pool.deleting:
        return {}
    scaling = pool.scaling
    if scaling.paused or scaling.paused_replicas is not None:
        return {}
    return {
        f"{pool.uid}/{number}": Errand(pool.key, pool.uid, source)
        for number, source in sources(scaling).items()
    }
