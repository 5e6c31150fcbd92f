"""The namespace's ResourceQuotas as the resource pool: keeps what they leave to each AgentPool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.quota_news import QuotaNews
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.reclaim import next_ripe
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota.rules import DEFAULT_RULES
from agentcorps.core.room import is_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentcorps.control.basis import Basis
    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.records import Key, Now
    from agentcorps.core.room import Room


class ResourcePool:
    """Works the shares out anew whenever it is asked, and tells who has another one."""

    def __init__(
        self, basis: Basis, changed: Callable[[], None], rules: SharingRules = DEFAULT_RULES
    ) -> None:
        """``changed`` is told when there are other numbers for the pools."""
        self._state, self._remembered, _ = basis
        self._changed = changed
        self.rules = rules
        self._foreign = ForeignUse()
        self._news = QuotaNews(self._state, self._remembered)

    def share_out(self, now: Now) -> Mapping[Key, Room]:
        """Return the room of each pool that has one; those that have another are looked at."""
        self._news.take(now)
        refused = {agent for agent, _ in self._remembered.pods.items()}
        before = self._remembered.rooms
        after = rooms(self._state, self._foreign, now, self.rules, refused)
        self._remembered.rooms = after
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        for key in changed:
            self._state.news.pool(key)
        if changed:
            self._changed()
        return after

    def next_due(self, now: Now, pools: Iterable[Key]) -> float | None:
        """Return when (monotonic) the next agent of a limited pool may be given back."""
        limited = [key for key in pools if is_limited(self._remembered.rooms.get(key))]
        agents = (agent for key in limited for agent in self._state.agents_of(key))
        return next_ripe(agents, now, self.rules)
