"""What this leader remembers, and no object tells: gone after a restart, and harmless to lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.troubles import Troubles
from agentcorps.core.statuses import Memory, Refusal, Tally

if TYPE_CHECKING:
    from agentcorps.core.records import Key


class Remembered:
    """First hello, finished tasks per agent, and what could not be created."""

    def __init__(self) -> None:
        self.first_hello: float | None = None
        """Monotonic time of the first hello that this leader received."""
        self.pods = Troubles()
        """By agent: its pod could not be created or deleted."""
        self.pools = Troubles()
        """By pool: an agent of it could not be created."""
        self._finished: dict[Key, Tally] = {}

    def heard(self, monotonic: float) -> None:
        """An agent said hello."""
        if self.first_hello is None:
            self.first_hello = monotonic

    def succeeded(self, agent: Key) -> None:
        """A task succeeded on an agent."""
        tally = self.finished(agent)
        self._finished[agent] = tally._replace(succeeded=tally.succeeded + 1)

    def failed(self, agent: Key) -> None:
        """An attempt failed on an agent."""
        tally = self.finished(agent)
        self._finished[agent] = tally._replace(failed=tally.failed + 1)

    def finished(self, agent: Key) -> Tally:
        """What ended on an agent and is not in its status yet."""
        return self._finished.get(agent, Tally())

    def written(self, agent: Key, tally: Tally) -> None:
        """A status that bears these numbers was stored."""
        now = self.finished(agent)
        rest = Tally(now.succeeded - tally.succeeded, now.failed - tally.failed)
        if rest == Tally():
            self._finished.pop(agent, None)
        else:
            self._finished[agent] = rest

    def gone(self, agent: Key) -> None:
        """An Agent was deleted."""
        self._finished.pop(agent, None)
        self.pods.clear(agent)

    def memory(self) -> Memory:
        """All of it, as decisions read it."""
        return Memory(
            first_hello=self.first_hello,
            finished=self._finished,
            refused={key: Refusal(one.reason, one.message) for key, one in self.pods.items()},
            refused_agents={
                key: Refusal(one.reason, one.message) for key, one in self.pools.items()
            },
        )
