"""Objects of one kind by key and UID, where only news replaces what is known."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentcorps.core.records import Key

_REMEMBERED_DELETIONS: Final = 4096


class Versioned(Protocol):
    """What a record needs for being stored."""

    @property
    def uid(self) -> str:
        """UID of the object."""

    @property
    def key(self) -> Key:
        """Namespace and name of the object."""

    @property
    def resource_version(self) -> int:
        """Version of the object; higher is newer, also between objects of one kind."""


Record = TypeVar("Record", bound=Versioned)


class Store(Generic[Record]):
    """The newest known record of each object.

    Answers to writes and watch events arrive in any order, so a record counts only if its version
    is higher than the known one. That holds for deleted objects too: their last version is
    remembered for a while, so that a late answer does not bring them back.
    """

    def __init__(self) -> None:
        self._by_key: dict[Key, Record] = {}
        self._by_uid: dict[str, Record] = {}
        self._deleted: dict[str, int] = {}
        self.by_key: Mapping[Key, Record] = MappingProxyType(self._by_key)
        self.by_uid: Mapping[str, Record] = MappingProxyType(self._by_uid)

    def put(self, record: Record) -> tuple[bool, Record | None]:
        """Take a record in; returns whether it was news, and the record that it replaced."""
        known = self._by_key.get(record.key)
        floor = self._deleted.get(record.uid, -1) if known is None else known.resource_version
        if record.resource_version <= floor:
            return False, None
        if known is not None and known.uid != record.uid:
            self.remove(known.key)
        self._by_key[record.key] = record
        self._by_uid[record.uid] = record
        return True, known

    def remove(self, key: Key, uid: str | None = None) -> Record | None:
        """Forget an object (only the one of this UID, if given); returns what was known."""
        known = self._by_key.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return None
        del self._by_key[key]
        del self._by_uid[known.uid]
        self._deleted[known.uid] = known.resource_version
        if len(self._deleted) > _REMEMBERED_DELETIONS:
            del self._deleted[next(iter(self._deleted))]
        return known

    def absent(self, listed: Iterable[Record], list_version: int | None) -> list[Record]:
        """Known objects that a complete list lacks, but for those written after it was taken."""
        uids = {record.uid for record in listed}
        return [
            known
            for uid, known in self._by_uid.items()
            if uid not in uids and (list_version is None or known.resource_version <= list_version)
        ]
