"""An API server in memory behind ``ports.Cluster``, with the faults that a real one has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, Note, NotFound, Object

FIRST_TIME = "2026-01-01T00:00:00Z"


class FakeCluster:
    """Stores objects with uid, generation and version; the next calls can be made to fail."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, Key], Object] = {}
        self.writes: list[tuple[str, Kind, Key]] = []
        self.faults: list[tuple[str, Exception, bool]] = []
        self.before_write: Callable[[Kind, Key], None] | None = None
        self._version = 100

    def fail(self, verb: str, error: Exception, *, applied: bool = False) -> None:
        """Let the next call of a verb raise; ``applied`` lets the write happen all the same."""
        self.faults.append((verb, error, applied))

    def put(self, kind: Kind, obj: Mapping[str, Any]) -> Object:
        """Store an object as if somebody else had written it."""
        body = copied(dict(obj))
        metadata = body["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        known = self.objects.get((kind, key))
        metadata.setdefault("uid", known["metadata"]["uid"] if known else f"uid-{self._next()}")
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", FIRST_TIME)
        metadata["resourceVersion"] = str(self._next())
        self.objects[kind, key] = body
        return copied(body)

    def change(self, kind: Kind, key: Key, change: Callable[[Object], None]) -> Object:
        """Change an object as if somebody else had written it."""
        body = copied(self.objects[kind, key])
        change(body)
        return self.put(kind, body)

    def status(self, key: Key) -> dict[str, Any]:
        """The stored status of a Task."""
        status: dict[str, Any] = self.objects[Kind.TASK, key]["status"]
        return status

    async def get(self, kind: Kind, key: Key) -> Object:
        """See ports.Cluster."""
        self._raise("get")
        try:
            return copied(self.objects[kind, key])
        except KeyError:
            raise NotFound(str(key)) from None

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """See ports.Cluster."""
        key = Key(namespace, body["metadata"]["name"])
        if (kind, key) in self.objects:
            raise Conflict(f"{key} exists")

        def write() -> Object:
            return self.put(kind, body | {"metadata": body["metadata"] | {"namespace": namespace}})

        return self._write("create", kind, key, write)

    async def replace(self, kind: Kind, key: Key, body: Object) -> Object:
        """See ports.Cluster."""
        known = self.objects.get((kind, key))
        if known is None:
            raise NotFound(str(key))
        if known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict(f"{key} was written in between")
        return self._write("replace", kind, key, lambda: self.put(kind, body))

    async def replace_status(
        self, kind: Kind, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> Object:
        """See ports.Cluster."""
        if self.before_write is not None:
            hook, self.before_write = self.before_write, None
            hook(kind, key)
        if (kind, key) not in self.objects:
            raise NotFound(str(key))
        body = copied(self.objects[kind, key])
        if int(body["metadata"]["resourceVersion"]) != resource_version:
            raise Conflict(f"{key} was written in between")
        body["status"] = copied(dict(status))
        return self._write("status", kind, key, lambda: self.put(kind, body))

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str,
        resource_version: int | None = None,
        grace_seconds: int | None = None,  # noqa: ARG002 - pods of a fake have nothing to end
    ) -> None:
        """See ports.Cluster."""
        known = self.objects.get((kind, key))
        if known is None or known["metadata"]["uid"] != uid:
            raise NotFound(str(key))
        if resource_version not in {None, int(known["metadata"]["resourceVersion"])}:
            raise Conflict(str(key))
        self._write("delete", kind, key, lambda: self.end(kind, key))

    def end(self, kind: Kind, key: Key) -> Object:
        """What a delete does; returns the object."""
        return self.objects.pop((kind, key))

    async def list_objects(
        self, kind: Kind, namespaces: Sequence[str], *, metadata_only: bool = False
    ) -> tuple[list[Object], int]:
        """See ports.Lister."""
        self._raise("list")
        found = [
            copied(body)
            for (one, key), body in self.objects.items()
            if one is kind and (not namespaces or key.namespace in namespaces)
        ]
        if metadata_only:
            found = [{"metadata": body["metadata"]} for body in found]
        return found, self._version

    def _write(self, verb: str, kind: Kind, key: Key, write: Callable[[], Object]) -> Object:
        """Write unless a fault says no; a fault may also swallow the answer of a write."""
        fault = next((one for one in self.faults if one[0] == verb), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault[2]:
                write()
            raise fault[1]
        self.writes.append((verb, kind, key))
        return write()

    def _raise(self, verb: str) -> None:
        fault = next((one for one in self.faults if one[0] == verb), None)
        if fault is not None:
            self.faults.remove(fault)
            raise fault[1]

    def _next(self) -> int:
        self._version += 1
        return self._version


Json = TypeVar("Json")


def copied(value: Json) -> Json:
    """Copy JSON; many times faster than a deep copy of just anything."""
    copy: Any = value
    if isinstance(value, dict):
        copy = {name: copied(one) for name, one in value.items()}
    elif isinstance(value, list):
        copy = [copied(one) for one in value]
    same: Json = copy
    return same


class Notes:
    """An EventSink that remembers."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def emit(self, note: Note) -> None:
        """See ports.EventSink."""
        self.notes.append(note)

    def reasons(self) -> list[str]:
        """The reasons of all notes, in order."""
        return [note.reason for note in self.notes]
