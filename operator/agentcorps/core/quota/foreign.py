"""What others use of the quotas that agents live by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Now

RISE_SECONDS: Final = 10.0
"""How long a rise must last before it counts. Creations and deletions of our own show in
``status.used`` and in the pods at different moments, and in between look like somebody else's."""


class _Use(NamedTuple):
    amount: int
    risen: int
    """The least that was seen since it rose above that."""
    since: float | None
    """Monotonic time at which it rose; None when it did not."""


class ForeignUse:
    """An estimate for each resource of each quota: ``used`` less what is our own.

    It falls at once and rises late. An estimate that is too low costs a creation that the API
    server refuses; one that is too high would take agents from their work.
    """

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], _Use] = {}

    def see(self, quota: QuotaRecord, own: Mapping[str, int], now: Now) -> None:
        """Compare what a quota says is used with what is our own."""
        for resource in quota.hard:
            seen = max(0, quota.used.get(resource, 0) - own.get(resource, 0))
            name = (quota.uid, resource)
            known = self._uses.get(name, _Use(seen, seen, None))
            self._uses[name] = _revised(known, seen, now.monotonic)

    def of(self, quota: QuotaRecord, resource: str) -> int:
        """What others use of a resource."""
        known = self._uses.get((quota.uid, resource))
        return 0 if known is None else known.amount

    def keep(self, uids: Collection[str]) -> None:
        """Forget all but these quotas."""
        for name in [name for name in self._uses if name[0] not in uids]:
            del self._uses[name]


def _revised(known: _Use, seen: int, now: float) -> _Use:
    if seen <= known.amount:
        return _Use(seen, seen, None)
    if known.since is None:
        return _Use(known.amount, seen, now)
    risen = min(known.risen, seen)
    if now - known.since >= RISE_SECONDS:
        return _Use(risen, risen, None)
    return _Use(known.amount, risen, known.since)
