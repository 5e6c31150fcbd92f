"""Wakes the loops. Connected after the loops exist, because their steps kick each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.control.loop import Loop


class Kicks:
    """One bell for each loop; silent until it is connected."""

    def __init__(self) -> None:
        self._assign: Loop | None = None
        self._fleet: Loop | None = None
        self._statuses: Loop | None = None
        self._autoscale: Loop | None = None
        self._metrics: Loop | None = None

    def connect(
        self, *, assign: Loop, fleet: Loop, statuses: Loop, autoscale: Loop, metrics: Loop
    ) -> None:
        """From now on the loops hear it."""
        self._assign, self._fleet, self._statuses = assign, fleet, statuses
        self._autoscale, self._metrics = autoscale, metrics

    def assign(self) -> None:
        """Something may be bound, or has ended."""
        if self._assign is not None:
            self._assign.kick()

    def statuses(self) -> None:
        """What a status says may have changed."""
        if self._statuses is not None:
            self._statuses.kick()

    def fleet(self) -> None:
        """Agents or pods may have to be created or deleted."""
        if self._fleet is not None:
            self._fleet.kick()

    def autoscale(self) -> None:
        """A pool may need more or fewer agents."""
        if self._autoscale is not None:
            self._autoscale.kick()

    def metrics(self) -> None:
        """A metric may have to be read."""
        if self._metrics is not None:
            self._metrics.kick()

    def all(self) -> None:
        """Wake every loop."""
        self.autoscale()
        self.assign()
        self.fleet()
        self.metrics()
        self.statuses()
