"""The independent watcher: its own connection, its own code, its own memory of every event."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from support.invariants import (
    DELETED,
    Ledger,
    Sight,
    binding_faults,
    ending_faults,
    execution_faults,
)
from support.raw_api import Json, RawApi, RawApiError

TASKS = "/apis/agentcorps.dev/v1alpha1/namespaces/{}/tasks"
PODS = "/api/v1/namespaces/{}/pods"
RETRY_SECONDS = 0.3
GONE = 410


def relisted(known: Mapping[str, Json], items: Sequence[Json]) -> list[tuple[str, Json]]:
    """Return the events that a list stands for: what is gone, then what is there.

    A list is in the order of names. It is put in that of versions: told by name, a Task that began
    could come before the one whose end made room for it, and an agent seem to have both at a time.

    Args:
        known: What was last seen, by UID.
        items: Of the list.
    """
    present = {item["metadata"]["uid"] for item in items}
    gone = [(DELETED, item) for uid, item in known.items() if uid not in present]
    return gone + [("ADDED", item) for item in sorted(items, key=_version)]


def _version(item: Json) -> int:
    return int(item["metadata"]["resourceVersion"])


class Stream(threading.Thread):
    """Follows one collection from its creation on, over every outage of the API server."""

    def __init__(self, api: RawApi, path: str, take: Callable[[str, Json], None]) -> None:
        super().__init__(name=f"watch {path}", daemon=True)
        self._api = api
        self._path = path
        self._tell = take
        self._version = ""
        self._ending = threading.Event()
        self._known: dict[str, Json] = {}
        self.gaps = 0
        """How often events may have been missed (410: the position was too old)."""

    def run(self) -> None:
        """Follow until ended."""
        while not self._ending.is_set():
            try:
                if not self._version:
                    self._list()
                for event in self._api.watch(self._path, self._version, seconds=5):
                    self._take(event)
                    if self._ending.is_set():
                        return
            except (RawApiError, OSError, ValueError) as error:
                if isinstance(error, RawApiError) and error.status == GONE:
                    self._version = ""
                    self.gaps += 1
                self._ending.wait(RETRY_SECONDS)

    def end(self) -> None:
        """Stop soon; a watch that is open ends by itself."""
        self._ending.set()

    def _list(self) -> None:
        found = self._api.get(self._path)
        for kind, item in relisted(self._known, found["items"]):
            self._note(kind, item)
        self._version = found["metadata"]["resourceVersion"]

    def _take(self, event: Json) -> None:
        if event["type"] == "ERROR":
            raise RawApiError(event["object"].get("code", 500), "watch")
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self._note(event["type"], event["object"])

    def _note(self, kind: str, obj: Json) -> None:
        uid = obj["metadata"]["uid"]
        if kind == DELETED:
            self._known.pop(uid, None)
        else:
            self._known[uid] = obj
        self._tell(kind, obj)


class Watcher:
    """Remembers every state that Tasks and Pods of a namespace were in, and judges them."""

    def __init__(self, kubeconfig: Path, namespace: str, ledger: Ledger) -> None:
        """Prepare; ``with`` watches."""
        api = RawApi(kubeconfig)
        self._tasks = Stream(api, TASKS.format(namespace), self._see)
        self._pods = Stream(api, PODS.format(namespace), self._count)
        self._ledger = ledger
        self._lock = threading.Lock()
        self._sights: list[Sight] = []
        self._latest: dict[str, Sight] = {}
        self._pod_uids: set[str] = set()

    def __enter__(self) -> Self:
        """Begin."""
        self._tasks.start()
        self._pods.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; nobody waits for it."""
        self._tasks.end()
        self._pods.end()

    @property
    def sights(self) -> list[Sight]:
        """Every state of every Task, in order."""
        with self._lock:
            return list(self._sights)

    def latest(self) -> dict[str, Sight]:
        """The last state of each Task, by UID."""
        with self._lock:
            return dict(self._latest)

    @property
    def gaps(self) -> int:
        """How often the watcher itself may have missed states between two that it saw."""
        return self._tasks.gaps

    def pods_made(self) -> int:
        """How many pods there ever were."""
        return len(self._pod_uids)

    def faults(
        self, slots: Mapping[str, int], created: Iterable[str], gone: Iterable[str] = ()
    ) -> list[str]:
        """Return every breach of an invariant that was seen.

        Args:
            slots: By agent name.
            created: UIDs of the Tasks that were submitted.
            gone: UIDs of those that the test deleted.
        """
        sights = self.sights
        return [
            *binding_faults(sights, slots),
            *ending_faults(sights, created, gone),
            *execution_faults(self._ledger.executions),
        ]

    def _see(self, kind: str, task: Json) -> None:
        sight = Sight.of(kind, task)
        with self._lock:
            self._sights.append(sight)
            self._latest[sight.uid] = sight

    def _count(self, _: str, pod: Json) -> None:
        self._pod_uids.add(pod["metadata"]["uid"])
