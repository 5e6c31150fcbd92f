"""Something between the use cases and the API server, through which every request goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agentcorps.core.records import Key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentcorps.ports import Cluster, Kind, Object

Verb = Literal["get", "create", "replace", "replace_status", "delete"]
Answer = TypeVar("Answer")


class Relay(ABC):
    """A ``ports.Cluster`` in front of another one; what it does with a request is `pass_on`."""

    def __init__(self, cluster: Cluster) -> None:
        """``cluster`` is asked in the end."""
        self._cluster = cluster

    @abstractmethod
    async def pass_on(
        self, verb: Verb, kind: Kind, key: Key, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """Return what ``ask``, which asks the cluster, returns; or raise a ClusterError.

        Args:
            verb: The method of the port.
            kind: Of the object.
            key: The object.
            ask: Makes the request.
        """

    async def get(self, kind: Kind, key: Key) -> Object:
        """See ports.Cluster."""
        return await self.pass_on("get", kind, key, lambda: self._cluster.get(kind, key))

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """See ports.Cluster."""
        return await self.pass_on(
            "create",
            kind,
            Key(namespace, body["metadata"]["name"]),
            lambda: self._cluster.create(kind, namespace, body),
        )

    async def replace(self, kind: Kind, key: Key, body: Object) -> Object:
        """See ports.Cluster."""
        return await self.pass_on(
            "replace", kind, key, lambda: self._cluster.replace(kind, key, body)
        )

    async def replace_status(
        self, kind: Kind, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> Object:
        """See ports.Cluster."""
        return await self.pass_on(
            "replace_status",
            kind,
            key,
            lambda: self._cluster.replace_status(kind, key, resource_version, status),
        )

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
        await self.pass_on(
            "delete",
            kind,
            key,
            lambda: self._cluster.delete(
                kind, key, uid=uid, resource_version=resource_version, grace_seconds=grace_seconds
            ),
        )
