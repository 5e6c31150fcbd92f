"""What others use of the quotas that agents live by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Now

LAG_SECONDS: Final = 30.0
"""How far ``status.used`` and what is seen of our own pods may be apart in time. A successor of the
kube-controller-manager, which alone lowers ``used``, takes over after 15 to 20 s; what leaves
meanwhile would pass for somebody else's, and pools would drain agents for it."""


class _Own(NamedTuple):
    """What was our own from some time on."""

    since: float
    """Monotonic seconds."""
    least: int
    """Pods that are there."""
    most: int
    """Those, and the ones that may have been created already."""


class _Use(NamedTuple):
    foreign: int
    own: tuple[_Own, ...]
    """In order; the first one held when the time began that is looked back at."""


class ForeignUse:
    """An estimate for each resource of each quota: ``used`` less what is our own.

    Creations and deletions of our own show in ``used`` and in the pods at different moments. So
    ``used`` is compared with the least and the most that was our own within ``LAG_SECONDS``, and
    the estimate moves no further than that proves. While nothing of ours comes or goes it is exact.
    """

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], _Use] = {}

    def see(
        self, quota: QuotaRecord, own: Mapping[str, int], reserved: Mapping[str, int], now: Now
    ) -> None:
        """Compare what a quota says is used with what is our own.

        Args:
            quota: The quota.
            own: What the pods of ours that are there take of it.
            reserved: What those take that are about to be created, or may have been.
            now: This instant.
        """
        for resource in quota.hard:
            name = (quota.uid, resource)
            mine = own.get(resource, 0)
            seen = _Own(now.monotonic, mine, mine + reserved.get(resource, 0))
            known = self._uses.get(name)
            history = (seen,) if known is None else _extended(known.own, seen)
            used = quota.used.get(resource, 0)
            lowest = max(0, used - max(one.most for one in history))
            highest = max(0, used - min(one.least for one in history))
            foreign = lowest if known is None else min(max(known.foreign, lowest), highest)
            self._uses[name] = _Use(foreign, history)

    def of(self, quota: QuotaRecord, resource: str) -> int:
        """What others use of a resource."""
        known = self._uses.get((quota.uid, resource))
        return 0 if known is None else known.foreign

    def keep(self, uids: Collection[str]) -> None:
        """Forget all but these quotas."""
        for name in [name for name in self._uses if name[0] not in uids]:
            del self._uses[name]


def _extended(history: tuple[_Own, ...], seen: _Own) -> tuple[_Own, ...]:
    if history[-1][1:] != seen[1:]:
        history = (*history, seen)
    begin = seen.since - LAG_SECONDS
    first = max((i for i, one in enumerate(history) if one.since <= begin), default=0)
    return history[first:]
