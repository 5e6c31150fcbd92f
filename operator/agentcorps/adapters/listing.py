"""Consistent lists, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from agentcorps.adapters.connection import JSON
from agentcorps.adapters.problems import GONE
from agentcorps.ports import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.core.records import Key
    from agentcorps.ports import Kind, Object

R = TypeVar("R")

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE_SIZE = 500
_PAGE_SECONDS = 30.0
_ATTEMPTS = 3


def collection_path(kind: Kind, namespace: str | None) -> str:
    """Path of all objects of a kind, in one namespace or (None) everywhere."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{kind.path}{within}/{kind.plural}"


def object_path(kind: Kind, key: Key) -> str:
    """Path of one object."""
    return f"{collection_path(kind, key.namespace)}/{key.name}"


class Listing:
    """Lists one kind in one namespace, or everywhere."""

    def __init__(
        self,
        api: ApiConnection,
        kind: Kind,
        namespace: str | None,
        *,
        label_selector: str = "",
        metadata_only: bool = False,
        page_size: int = PAGE_SIZE,
    ) -> None:
        """Prepare a list; nothing is requested yet."""
        self._api = api
        self._path = collection_path(kind, namespace)
        self._params = {"limit": str(page_size)}
        if label_selector:
            self._params["labelSelector"] = label_selector
        self._accept = METADATA_LIST if metadata_only else JSON

    async def read(self, take: Callable[[Object], R | None]) -> tuple[list[R], int]:
        """Read the whole list as of one instant.

        Args:
            take: Makes of an object what to keep, page by page, so that no more than one page of
                full objects is in memory; None leaves it out.

        Returns:
            What was kept, and the list's resourceVersion.

        Raises:
            ClusterError: It could not be read; also if it expired again and again meanwhile.
        """
        for _ in range(_ATTEMPTS):
            try:
                return await self._read(take)
            except Refused as error:
                if error.status != GONE:
                    raise
        raise Unavailable(
            f"GET {self._path}: the list expired while it was read, {_ATTEMPTS} times"
        )

    async def _read(self, take: Callable[[Object], R | None]) -> tuple[list[R], int]:
        kept: list[R] = []
        params = self._params
        while True:
            page = await self._api.request(
                "GET", self._path, params=params, accept=self._accept, timeout=_PAGE_SECONDS
            )
            items, metadata = self._parts(page)
            kept.extend(record for record in map(take, items) if record is not None)
            following = metadata.get("continue")
            if not following:
                return kept, int(metadata["resourceVersion"])
            params = self._params | {"continue": following}

    def _parts(self, page: Any) -> tuple[list[Object], dict[str, Any]]:
        try:
            items, metadata = page["items"] or [], page["metadata"]
            int(metadata["resourceVersion"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"GET {self._path}: the answer is not a list") from error
        return items, metadata
