"""What this leader remembers, and no object tells: gone after a restart, and harmless to lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.control.troubles import Name, Troubles
from agentcorps.core.statuses import Memory, Refusal, Tally, failures_in_a_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import AgentRecord, Key
    from agentcorps.core.room import Room
    from agentcorps.core.scaling_status import Scaled

REPLACEMENT_REST_SECONDS: Final = 10.0
"""How long a second replacement waits; the first one comes at once."""
REPLACEMENT_QUIET_SECONDS: Final = 600.0
"""After so long without a replacement the next one comes at once again."""


class Remembered:
    """First hello, finished tasks per agent, decisions, and what could not be created."""

    def __init__(self) -> None:
        self.first_hello: float | None = None
        """Monotonic time of the first hello that this leader received."""
        self.pods: Troubles[Key] = Troubles()
        """By agent: its pod could not be created or deleted."""
        self.pools: Troubles[Key] = Troubles()
        """By pool: an agent of it could not be created."""
        self.replaced_pods = _replacements()
        """By UID of the agent: its pods hung or ended and had to be replaced."""
        self.replaced_agents = _replacements()
        """By edition of the pool: its agents were quarantined and had to be replaced."""
        self.scaled: dict[str, Scaled] = {}
        """By UID of the pool that scales itself: the last decision about it."""
        self.rooms: Mapping[Key, Room] = {}
        """By pool: what its namespace's quotas leave to it."""
        self._streaks: dict[str, int] = {}
        self._finished: dict[Key, Tally] = {}

    def heard(self, monotonic: float) -> bool:
        """An agent said hello; returns whether it was the first one."""
        first = self.first_hello is None
        if first:
            self.first_hello = monotonic
        return first

    def succeeded(self, agent: AgentRecord) -> None:
        """A task succeeded on an agent."""
        tally = self.finished(agent.key)
        self._finished[agent.key] = tally._replace(succeeded=tally.succeeded + 1)
        self._streaks[agent.uid] = 0

    def failed(self, agent: AgentRecord) -> int:
        """An attempt failed on an agent; returns how many did since the last success."""
        tally = self.finished(agent.key)
        self._finished[agent.key] = tally._replace(failed=tally.failed + 1)
        streak = failures_in_a_row(agent, self.memory()) + 1
        self._streaks[agent.uid] = streak
        return streak

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

    def gone(self, agent: Key, uid: str) -> None:
        """An Agent was deleted."""
        self._finished.pop(agent, None)
        self._streaks.pop(uid, None)
        self.pods.clear(agent)
        self.replaced_pods.clear(uid)

    def memory(self) -> Memory:
        """All of it, as decisions read it."""
        return Memory(
            first_hello=self.first_hello,
            finished=self._finished,
            refused=_told(self.pods),
            refused_agents=_told(self.pools),
            streaks=self._streaks,
            resting_pods=_told(self.replaced_pods),
            resting_agents=_told(self.replaced_agents),
            scaled=self.scaled,
            rooms=self.rooms,
        )


def _replacements() -> Troubles[str]:
    return Troubles(REPLACEMENT_REST_SECONDS, pardoned=1, quiet=REPLACEMENT_QUIET_SECONDS)


def _told(troubles: Troubles[Name]) -> Mapping[Name, Refusal]:
    return {name: Refusal(one.reason, one.message) for name, one in troubles.items()}
