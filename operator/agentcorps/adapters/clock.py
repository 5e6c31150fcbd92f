"""The API server's wall clock, told from the Date headers of its answers."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from agentcorps.core.records import Now

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE_RESOLUTION = 1.0


class ServerClock:
    """Implements ``ports.Clock``: the local clock, shifted where it disagrees with the API server.

    A Date header has a resolution of one second, and the answer travelled for some time, so one
    answer only says that the offset lies in ``[date - received, date + 1 s - sent]``. The offset
    starts at 0 and moves to the nearest end of that interval when it lies outside: clocks that
    agree are never corrected, a slow answer teaches little, and a clock that is stepped is
    followed within one answer.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = 0.0

    def now(self) -> Now:
        """This instant; the wall time is the API server's, as far as it is known."""
        return Now(monotonic=self._monotonic(), wall=self._wall() + self._offset)

    def observe(self, date: str | None, sent: float) -> None:
        """Learn from an answer that has just arrived.

        Args:
            date: Its Date header; None or nonsense teaches nothing.
            sent: Monotonic time at which its request was sent.
        """
        if date is None:
            return
        try:
            server = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        received = self._wall()
        travelled = max(0.0, self._monotonic() - sent)
        lowest = server - received
        highest = server + _DATE_RESOLUTION - (received - travelled)
        self._offset = min(max(self._offset, lowest), highest)
