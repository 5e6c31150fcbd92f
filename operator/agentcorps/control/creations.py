"""Creates objects that bear known names: what came of a creation is found out before another."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from agentcorps.core.metadata import controller_of
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from agentcorps.ports import Clock, Cluster, Kind, Object

UNSURE_SECONDS: Final = 600.0
"""For how long it is remembered that an answer was lost, where nobody asks for the name again.

An API server gives a request up after a minute, and a creation that failed rests for five at most.
"""
_QUOTA_CONFLICT: Final = re.compile(r"cannot be fulfilled on resourcequotas\b")


class NameTaken(ClusterError):
    """Somebody else's object bears the name."""


class QuotaConflict(ClusterError):
    """409: too many charged a ResourceQuota at a time; nothing was created."""


class Creations:
    """Creates objects of which an owner has one under a name.

    The API server charges a ResourceQuota before it finds a name taken, and counts again only with
    the next change of a pod, or after minutes. So nothing is sent twice in the dark.
    """

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._unsure: dict[tuple[Kind, Key], float] = {}
        """May have been created: the answer was lost. When that was (monotonic), in this order."""

    @property
    def unsure(self) -> int:
        """Number of names of which it is remembered that an answer was lost."""
        return len(self._unsure)

    async def create(self, kind: Kind, namespace: str, manifest: Object) -> Object:
        """Create an object, or find that an earlier call did; returns it as stored.

        Args:
            kind: Of the object.
            namespace: Where.
            manifest: With a name, and an owner that is its controller.

        Raises:
            NameTaken: Another owner's object bears the name.
            QuotaConflict: The API server would have it sent again.
            ClusterError: It was not created, or nobody knows; the next call finds out.
        """
        key = Key(namespace, manifest["metadata"]["name"])
        owner = str(controller_of(manifest["metadata"])["uid"])
        if (kind, key) in self._unsure:
            self._note(kind, key)  # until the answer is read it stays so, however long that takes
            known = await self._find(kind, key, owner)
            self._unsure.pop((kind, key), None)
            if known is not None:
                return known
        try:
            return await self._cluster.create(kind, namespace, manifest)
        except Unavailable as error:
            self._note(kind, key)
            return await self._after_silence(kind, key, owner, error)
        except Conflict as error:
            return await self._after_conflict(kind, key, owner, error)

    async def _after_silence(self, kind: Kind, key: Key, owner: str, error: Unavailable) -> Object:
        if error.retry_after is not None:
            raise error  # it asks to be left alone
        try:
            known = await self._find(kind, key, owner)
        except NameTaken:
            raise
        except ClusterError:
            raise error from None
        if known is None:
            raise error  # it may still be on its way
        self._unsure.pop((kind, key), None)
        return known

    async def _after_conflict(self, kind: Kind, key: Key, owner: str, error: Conflict) -> Object:
        if _QUOTA_CONFLICT.search(str(error)):
            raise QuotaConflict(str(error)) from error
        known = await self._find(kind, key, owner)
        if known is None:
            raise error
        return known

    async def _find(self, kind: Kind, key: Key, owner: str) -> Object | None:
        """Read an object; None if there is none."""
        try:
            stored = await self._cluster.get(kind, key)
        except NotFound:
            return None
        if controller_of(stored["metadata"]).get("uid") != owner:
            raise NameTaken(
                f"{kind.kind} {key} is there already and belongs to somebody else: delete it, or"
                " rename the pool"
            )
        return stored

    def _note(self, kind: Kind, key: Key) -> None:
        """An answer is lost. What nobody has asked for since long ago is remembered no longer."""
        now = self._clock.now().monotonic
        self._unsure.pop((kind, key), None)
        self._unsure[kind, key] = now
        old = takewhile(lambda one: self._unsure[one] + UNSURE_SECONDS <= now, self._unsure)
        for one in list(old):
            del self._unsure[one]
