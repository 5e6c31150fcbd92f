"""The metrics page: what is known now, what was counted, and the process itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from agentcorps.adapters.metrics import gauges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import Metric

    from agentcorps.adapters.metrics.gauges import Watched
    from agentcorps.adapters.metrics.meter import PrometheusMeter
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.state import State
    from agentcorps.ports import Leadership


class Page(Collector):
    """One scrape: gauges as they were read, then whatever was counted."""

    def __init__(self, read: Sequence[Metric], counted: Iterable[CollectorRegistry]) -> None:
        self._read = read
        self._counted = counted

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        yield from self._read
        for registry in self._counted:
            yield from registry.collect()


class MetricsPage:
    """A ``ports.Exposition``.

    The state is read in the event loop, where it changes, and takes one look at each agent and pod;
    the text is written in a thread, so that no agent waits for it. A replica that does not lead
    knows only part of the world, and tells of itself alone.
    """

    def __init__(
        self,
        meter: PrometheusMeter,
        state: State,
        remembered: Remembered,
        leadership: Leadership,
        watches: Sequence[Watched],
    ) -> None:
        """``meter`` begins to follow the state's pools."""
        meter.pools.follow(state)
        self._meter = meter
        self._state = state
        self._remembered = remembered
        self._leadership = leadership
        self._watches = watches
        self._one_at_a_time = asyncio.Lock()
        self._process = CollectorRegistry()
        # When each series began, as a series of its own: twice the text, and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """See ports.Exposition."""
        encode: Callable[[Collector], bytes]
        encode, content_type = choose_encoder(accept)
        async with self._one_at_a_time:
            page = Page(self.read(), (self._meter.registry, self._process))
            return await asyncio.to_thread(encode, page), content_type

    def read(self) -> list[Metric]:
        """Return the gauges as they are now."""
        leads = self._leadership.leading
        found = list(gauges.of_replica(leads=leads, watches=self._watches))
        if leads:
            self._meter.prepare(self._state.pools)
            found += gauges.of_leader(self._state, self._remembered, self._meter.pools)
        return found
