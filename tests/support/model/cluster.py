"""The API server of the model: watched by all replicas, judged at each write, reached by links."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agentcorps.control.relay import Answer, Relay
from agentcorps.core.conditions import timestamp
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Kind, Object, Unavailable
from support.fake_cluster import FakeCluster
from support.model.network import Way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentcorps.control.relay import Verb
    from support.control_room import ManualClock
    from support.model.network import Network
    from support.model.replica import Replica


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

    def end(self, kind: Kind, key: Key) -> Object:
        """A pod is only marked: its kubelet takes as long as it takes."""
        if kind is not Kind.POD:
            return self.remove(kind, key)
        if "deletionTimestamp" in self.objects[kind, key]["metadata"]:
            return self.objects[kind, key]
        now = timestamp(self._clock.now().wall)
        return self.change(kind, key, lambda body: body["metadata"].update(deletionTimestamp=now))

    def _tell(self, event: str, kind: Kind, obj: Object) -> None:
        for watcher in self.watchers:
            watcher(event, kind, obj)


class Link(Relay):
    """``ports.Cluster`` for one replica: requests and answers take their time, or get lost."""

    def __init__(self, cluster: ModelCluster, network: Network, replica: Replica) -> None:
        super().__init__(cluster)
        self._network = network
        self._replica = replica
        self._writing: set[Key] = set()
        self._late: set[asyncio.Task[None]] = set()
        self.faults: list[str] = []
        """Broken promises of the writer."""

    async def pass_on(
        self, verb: Verb, kind: Kind, key: Key, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """See Relay. At most one write of a Task's status is in flight per replica."""
        if verb != "get" and not self._replica.term.leading:
            self.faults.append(f"a replica that does not lead does {verb} {kind.kind} {key}")
        if verb != "replace_status" or kind is not Kind.TASK:
            return await self._travel(ask)
        if key in self._writing:
            self.faults.append(f"two writes of {key} in flight at a time")
        self._writing.add(key)
        try:
            return await self._travel(ask)
        finally:
            self._writing.discard(key)

    async def _travel(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        if not await self._network.hop(Way.TO_API, self._replica):
            late = asyncio.ensure_future(self._arrive_late(ask))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
            raise Unavailable("no answer in time")
        try:
            answer: Answer | ClusterError = await ask()
        except ClusterError as error:
            answer = error
        if not await self._network.hop(Way.FROM_API, self._replica):
            raise Unavailable("the answer was lost")
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    async def _arrive_late(self, ask: Callable[[], Awaitable[object]]) -> None:
        """A request that was given up may still arrive, or never."""
        if await self._network.hop(Way.LATE, self._replica):
            with suppress(ClusterError):
                await ask()
