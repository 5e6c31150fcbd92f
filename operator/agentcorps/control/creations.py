"""Creates objects that bear known names: what came of a creation is found out before another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentcorps.core.metadata import controller_of
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from agentcorps.ports import Cluster, Kind, Object

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

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._unsure: set[tuple[Kind, Key]] = set()
        """May have been created: the answer was lost."""

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
            known = await self._find(kind, key, owner)
            if known is not None:
                return known
        try:
            return await self._cluster.create(kind, namespace, manifest)
        except Unavailable as error:
            return await self._after_silence(kind, key, owner, error)
        except Conflict as error:
            return await self._after_conflict(kind, key, owner, error)

    async def _after_silence(self, kind: Kind, key: Key, owner: str, error: Unavailable) -> Object:
        self._unsure.add((kind, key))
        if error.retry_after is not None:
            raise error  # it asks to be left alone
        try:
            known = await self._find(kind, key, owner)
        except NameTaken:
            raise
        except ClusterError:
            raise error from None
        if known is None:
            self._unsure.add((kind, key))  # it may still be on its way
            raise error
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
            self._unsure.discard((kind, key))
            return None
        self._unsure.discard((kind, key))
        if controller_of(stored["metadata"]).get("uid") != owner:
            raise NameTaken(
                f"{kind.kind} {key} is there already and belongs to somebody else: delete it, or"
                " rename the pool"
            )
        return stored
