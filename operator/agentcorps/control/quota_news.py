"""Wakes what a full ResourceQuota refused, once the quota has more room than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.fleet_writes import QUOTA_EXCEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.control.remembered import Remembered
    from agentcorps.control.troubles import Trouble
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Key, Now
    from agentcorps.core.state import State


class QuotaNews:
    """A 403 of a quota is the last word until the quota says something else, or time has passed."""

    def __init__(self, state: State, remembered: Remembered) -> None:
        self._state = state
        self._remembered = remembered
        self._seen: Mapping[Key, QuotaRecord] = {}

    def take(self, now: Now) -> None:
        """End the rests of those for which there may be room now."""
        before, self._seen = self._seen, dict(self._state.quotas)
        eased = {
            key.namespace for key, known in before.items() if _eased(known, self._seen.get(key))
        }
        if not eased:
            return

        def ends(name: Key, trouble: Trouble) -> bool:
            return name.namespace in eased and trouble.reason == QUOTA_EXCEEDED

        for pool in self._remembered.pools.end_rests(now.monotonic, ends):
            self._state.news.pool(pool)
        for agent in self._remembered.pods.end_rests(now.monotonic, ends):
            self._state.news.agent(agent)


def _eased(before: QuotaRecord, after: QuotaRecord | None) -> bool:
    """Tell whether a quota leaves more of anything than before, or is gone."""
    if after is before:
        return False
    if after is None or after.uid != before.uid or not before.hard.keys() <= after.hard.keys():
        return True
    return any(after.left(name) > before.left(name) for name in before.hard)
