"""The API server of the model: watched by all replicas, judged at each write, reached by links."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from agentcorps.core.conditions import timestamp
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Conflict, Kind, NotFound, Object, Unavailable
from support.fake_cluster import FakeCluster
from support.model.network import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from support.control_room import ManualClock
    from support.model.network import Network
    from support.model.replica import Replica

Answer = TypeVar("Answer")


class ModelCluster(FakeCluster):
    """Tells its watchers of each change, and lets pods end only when their kubelet says so."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.watchers: list[Callable[[str, Kind, Object], None]] = []
        self.judges: list[Callable[[Object | None, Object], None]] = []

    @property
    def version(self) -> int:
        """The version of a list that is taken now."""
        return self._version

    def put(self, kind: Kind, obj: Mapping[str, Any]) -> Object:
        """See FakeCluster.put."""
        metadata = obj["metadata"]
        before = self.objects.get((kind, Key(metadata["namespace"], metadata["name"])))
        metadata.setdefault("creationTimestamp", timestamp(self._clock.now().wall))
        stored = super().put(kind, obj)
        if kind is Kind.TASK:
            for judge in self.judges:
                judge(before, stored)
        self._tell("ADDED" if before is None else "MODIFIED", kind, stored)
        return stored

    def remove(self, kind: Kind, key: Key) -> Object:
        """An object is gone for good."""
        gone = self.objects.pop((kind, key))
        last = gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self._next())}}
        self._tell("DELETED", kind, last)
        return gone

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str,
        resource_version: int | None = None,
        grace_seconds: int | None = None,  # noqa: ARG002 - the kubelet takes as long as it takes
    ) -> None:
        """See ports.Cluster. A pod is only marked."""
        known = self.objects.get((kind, key))
        if known is None or known["metadata"]["uid"] != uid:
            raise NotFound(str(key))
        if resource_version not in {None, int(known["metadata"]["resourceVersion"])}:
            raise Conflict(str(key))
        if kind is not Kind.POD:
            self.remove(kind, key)
        elif "deletionTimestamp" not in known["metadata"]:
            now = timestamp(self._clock.now().wall)
            self.change(kind, key, lambda body: body["metadata"].update(deletionTimestamp=now))

    def _tell(self, event: str, kind: Kind, obj: Object) -> None:
        for watcher in self.watchers:
            watcher(event, kind, obj)


class Link:
    """``ports.Cluster`` for one replica: requests and answers take their time, or get lost."""

    def __init__(self, cluster: ModelCluster, network: Network, replica: Replica) -> None:
        self._cluster = cluster
        self._network = network
        self._replica = replica
        self._writing: set[Key] = set()
        self._late: set[asyncio.Task[None]] = set()
        self.faults: list[str] = []
        """Broken promises of the writer."""

    async def get(self, kind: Kind, key: Key) -> Object:
        """See ports.Cluster."""
        return await self._call(lambda: self._cluster.get(kind, key))

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """See ports.Cluster."""
        self._judge("creates", kind, Key(namespace, body["metadata"]["name"]))
        return await self._call(lambda: self._cluster.create(kind, namespace, body))

    async def replace(self, kind: Kind, key: Key, body: Object) -> Object:
        """See ports.Cluster."""
        self._judge("replaces", kind, key)
        return await self._call(lambda: self._cluster.replace(kind, key, body))

    async def replace_status(
        self, kind: Kind, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> Object:
        """See ports.Cluster. At most one write of a Task is in flight per replica."""
        self._judge("writes", kind, key)
        if kind is not Kind.TASK:
            return await self._call(
                lambda: self._cluster.replace_status(kind, key, resource_version, status)
            )
        if key in self._writing:
            self.faults.append(f"two writes of {key} in flight at a time")
        self._writing.add(key)
        try:
            return await self._call(
                lambda: self._cluster.replace_status(kind, key, resource_version, status)
            )
        finally:
            self._writing.discard(key)

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str,
        resource_version: int | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """See ports.Cluster."""
        self._judge("deletes", kind, key)
        await self._call(
            lambda: self._cluster.delete(
                kind, key, uid=uid, resource_version=resource_version, grace_seconds=grace_seconds
            )
        )

    def _judge(self, does: str, kind: Kind, key: Key) -> None:
        if not self._replica.term.leading:
            self.faults.append(f"a replica that does not lead {does} {kind.kind} {key}")

    async def _call(self, do: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        if not await self._network.hop(Way.TO_API, self._replica):
            late = asyncio.ensure_future(self._arrive_late(do))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
            raise Unavailable("no answer in time")
        try:
            answer: Answer | ClusterError = await do()
        except ClusterError as error:
            answer = error
        if not await self._network.hop(Way.FROM_API, self._replica):
            raise Unavailable("the answer was lost")
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    async def _arrive_late(self, do: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """A request that was given up may still arrive, or never."""
        if await self._network.hop(Way.LATE, self._replica):
            with suppress(ClusterError):
                await do()
