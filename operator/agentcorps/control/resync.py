"""Compares what kopf told of Agents, AgentPools and ResourceQuotas with the API server's own list.

kopf never reports deletes that a relist hides, and its watches have been seen to go blind. So at
the start, and once a minute, these kinds are listed: what is absent leaves the state; what is newer
than the state twice in a row is fetched, and counted as missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from agentcorps.core.records import Key
from agentcorps.ports import Kind, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.control.observe import Observer
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import AgentRecord, PoolRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Cluster, Lister, Object

log = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 60.0
BLIND_AFTER: Final = 3
"""Passes with missed changes, and no event from kopf in between, after which its watch is blind."""

Version = tuple[Kind, Key, str, int]
Known = TypeVar("Known", "AgentRecord", "PoolRecord", "QuotaRecord")


class Resync:
    """One pass over the kinds that kopf watches."""

    def __init__(
        self,
        state: State,
        observer: Observer,
        lister: Lister,
        cluster: Cluster,
        namespaces: Sequence[str],
    ) -> None:
        self._state = state
        self._observer = observer
        self._lister = lister
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._suspects: frozenset[Version] = frozenset()
        self._misses = 0

    @property
    def blind(self) -> bool:
        """Whether changes were missed again and again: the watch is up, and sees nothing."""
        return self._misses >= BLIND_AFTER

    def agent_event(self, event: str, obj: Object) -> None:
        """An event of an Agent from kopf: it sees."""
        self._misses = 0
        self._observer.agent_event(event, obj)

    def pool_event(self, event: str, obj: Object) -> None:
        """An event of an AgentPool from kopf: it sees."""
        self._misses = 0
        self._observer.pool_event(event, obj)

    def quota_event(self, event: str, obj: Object) -> None:
        """An event of a ResourceQuota from kopf: it sees."""
        self._misses = 0
        self._observer.quota_event(event, obj)

    async def start(self) -> None:
        """List all in full: the state knows them before anything is decided."""
        agents, _ = await self._lister.list_objects(Kind.AGENT, self._namespaces)
        pools, _ = await self._lister.list_objects(Kind.POOL, self._namespaces)
        self._observer.agents_listed(agents)
        self._observer.pools_listed(pools)
        quotas, _ = await self._lister.list_objects(Kind.QUOTA, self._namespaces)
        self._observer.quotas_listed(quotas)

    async def step(self) -> float | None:
        """Compare once."""
        behind = [
            *await self._compare(Kind.AGENT, self._state.agents),
            *await self._compare(Kind.POOL, self._state.pools),
            *await self._compare(Kind.QUOTA, self._state.quotas),
        ]
        missed = [version for version in behind if version in self._suspects]
        self._misses += bool(missed)
        for kind, key, _, _ in missed:
            log.warning("change was missed", kind=kind.kind, object=str(key))
            await self._fetch(kind, key)
        self._suspects = frozenset(behind)
        return None

    async def _compare(self, kind: Kind, known: Mapping[Key, Known]) -> list[Version]:
        """Forget what is gone, and name what is newer than the state."""
        before = dict(known)
        listed, _ = await self._lister.list_objects(kind, self._namespaces, metadata_only=True)
        versions = list(_versions(kind, listed))
        present = {uid for _, _, uid, _ in versions}
        for record in before.values():
            if record.uid not in present:
                self._observer.absent(kind, record.key, record.uid)
        left_out = self._observer.unreadable.left_out
        return [
            one
            for one in versions
            if not _covers(known.get(one[1]), one) and not left_out(one[2], one[3])
        ]

    async def _fetch(self, kind: Kind, key: Key) -> None:
        try:
            stored = await self._cluster.get(kind, key)
        except NotFound:
            return
        tell = {
            Kind.AGENT: self._observer.agent_event,
            Kind.POOL: self._observer.pool_event,
            Kind.QUOTA: self._observer.quota_event,
        }
        tell[kind]("MODIFIED", stored)


def _covers(record: AgentRecord | PoolRecord | QuotaRecord | None, version: Version) -> bool:
    """Whether the state knows this version of an object, or a later one."""
    _, _, uid, resource_version = version
    return record is not None and record.uid == uid and record.resource_version >= resource_version


def _versions(kind: Kind, listed: Iterable[Object]) -> Iterable[Version]:
    for item in listed:
        metadata = item["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        yield kind, key, metadata["uid"], int(metadata["resourceVersion"])
