"""Single objects and lists of the API server: implements ``ports.Cluster``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentcorps.adapters.connection import JSON
from agentcorps.adapters.listing import Listing, collection_path, object_path
from agentcorps.ports import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.core.records import Key
    from agentcorps.ports import Kind, Object

# The API server has two ways to say it, and no reason of its own for it.
_ANOTHER_UID = re.compile(r"UID in (the )?precondition")


class KubeCluster:
    """Reads and writes single objects. Nothing is retried: after a failure the caller decides."""

    def __init__(self, api: ApiConnection, *, timeout: float = 10.0) -> None:
        """Prepare; ``timeout`` bounds every request, in seconds."""
        self._api = api
        self._timeout = timeout

    async def get(self, kind: Kind, key: Key) -> Object:
        """Read an object fresh from the API server."""
        stored: Object = await self._send("GET", object_path(kind, key))
        return stored

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object; Conflict when the name is taken."""
        stored: Object = await self._send("POST", collection_path(kind, namespace), body=body)
        return stored

    async def replace(self, kind: Kind, key: Key, body: Object) -> Object:
        """Replace an object; Conflict unless it still has the body's resourceVersion."""
        stored: Object = await self._send("PUT", object_path(kind, key), body=body)
        return stored

    async def replace_status(
        self, kind: Kind, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> Object:
        """Replace the whole status, fenced by resourceVersion; returns the object as stored.

        A PUT of the status alone: the API server takes everything else from the stored object,
        which it need not patch as JSON first. A stale version is a 409.
        """
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "resourceVersion": str(resource_version),
            },
            "status": dict(status),
        }
        stored: Object = await self._send("PUT", object_path(kind, key) + "/status", body=body)
        return stored

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str,
        resource_version: int | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object; NotFound when it is gone, Conflict when a precondition fails."""
        preconditions: dict[str, str] = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = str(resource_version)
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        }
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._send("DELETE", object_path(kind, key), body=options)
        except Conflict as error:
            if _ANOTHER_UID.search(str(error)):
                raise NotFound(f"{kind.kind} {key} is another object now") from error
            raise

    async def list_objects(
        self,
        kind: Kind,
        namespaces: Iterable[str] = (),
        *,
        label_selector: str = "",
        metadata_only: bool = False,
    ) -> tuple[list[Object], int]:
        """List a kind consistently, page by page.

        Args:
            kind: What to list.
            namespaces: Where; empty means everywhere.
            label_selector: Which objects; empty means all.
            metadata_only: Leave out spec and status.

        Returns:
            The objects, and the resourceVersion of the list (the lowest one of several namespaces):
            what has a higher one may have come after it.
        """
        items: list[Object] = []
        versions: list[int] = []
        for namespace in tuple(namespaces) or (None,):
            listing = Listing(
                self._api,
                kind,
                namespace,
                label_selector=label_selector,
                metadata_only=metadata_only,
            )
            found, version = await listing.read(lambda item: item)
            items.extend(found)
            versions.append(version)
        return items, min(versions)

    async def _send(
        self, method: str, path: str, *, body: Any = None, content_type: str = JSON
    ) -> Any:
        return await self._api.request(
            method, path, body=body, content_type=content_type, timeout=self._timeout
        )
