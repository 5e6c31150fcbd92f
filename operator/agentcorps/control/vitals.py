"""What the probes ask: is anything stuck, is everything caught up?

An API server that does not answer is no reason to restart: a feed that fails and tries again makes
progress. A watch that is open and silent for longer than any watch may be, a step that never ends,
or changes that kopf keeps missing are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.control.loop import Loop
    from agentcorps.control.resync import Resync

STUCK_SECONDS: Final = 180.0


class Watch(Protocol):
    """A feed, as far as the probes care."""

    def age(self) -> float:
        """Seconds since it last did anything, be it failing."""

    def ready(self) -> bool:
        """Whether its picture is complete and was confirmed lately."""


class Vitals:
    """The checks behind ``/healthz`` and ``/readyz``; each answers the names of what fails."""

    def __init__(
        self,
        watches: Sequence[Watch],
        loops: Sequence[Loop],
        resync: Resync,
        kopf_alive: Callable[[], bool],
    ) -> None:
        """``kopf_alive`` is asked only while this process leads."""
        self._watches = tuple(watches)
        self._loops = tuple(loops)
        self._resync = resync
        self._kopf_alive = kopf_alive
        self.leads = False
        """Whether the loops and kopf are meant to run."""
        self.serves = False
        """Whether the gateway listens."""

    def stuck(self) -> list[str]:
        """What only a restart can mend."""
        found = ["feed" for watch in self._watches if watch.age() > STUCK_SECONDS]
        found += [loop.name for loop in self._loops if loop.step_age() > STUCK_SECONDS]
        if self.leads and not self._kopf_alive():
            found.append("kopf")
        if self._resync.blind:
            found.append("kopf-watch")
        return found

    def behind(self) -> list[str]:
        """What is not there yet: a standby that has caught up is ready, too."""
        found = ["feed" for watch in self._watches if not watch.ready()]
        if not self.serves:
            found.append("gateway")
        return found
