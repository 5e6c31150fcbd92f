"""How many pods each pool had at which time: an independent watcher's own count."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from support.invariants import DELETED
from support.raw_api import Json, RawApi
from support.watcher import PODS, Stream

POOL_LABEL = "agentcorps.dev/pool"
ENDED = ("Succeeded", "Failed")


class Change(NamedTuple):
    """A pod came, or went."""

    at: float
    """Monotonic seconds."""
    pool: str
    by: int


class PodCounts:
    """Watches the pods of a namespace over a connection of its own, and remembers every change."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        """Prepare; ``with`` watches."""
        self._stream = Stream(RawApi(kubeconfig), PODS.format(namespace), self._take)
        self._lock = threading.Lock()
        self._alive: dict[str, str] = {}
        self._changes: list[Change] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; nobody waits for it."""
        self._stream.end()

    @property
    def gaps(self) -> int:
        """How often changes may have been missed."""
        return self._stream.gaps

    def now(self) -> Counter[str]:
        """Pods of each pool now; those of nobody under an empty name."""
        with self._lock:
            return Counter(self._alive.values())

    def at(self, moment: float) -> Counter[str]:
        """Pods of each pool at a moment (monotonic)."""
        found: Counter[str] = Counter()
        for change in self.changes(until=moment):
            found[change.pool] += change.by
        return found

    def most(self) -> int:
        """Most pods that there were at a time."""
        highest = total = 0
        for change in self.changes():
            total += change.by
            highest = max(highest, total)
        return highest

    def made(self, pool: str) -> int:
        """How many pods a pool ever had."""
        return sum(change.by > 0 for change in self.changes() if change.pool == pool)

    def still(self, seconds: float) -> bool:
        """Tell whether nothing came or went for so long."""
        return not any(self.changes(time.monotonic() - seconds))

    def changes(self, since: float = 0.0, until: float | None = None) -> Iterator[Change]:
        """Yield what came and went after one moment (monotonic), and up to another."""
        end = time.monotonic() if until is None else until
        with self._lock:
            known = list(self._changes)
        return (change for change in known if since < change.at <= end)

    def turns(self, since: float, until: float | None = None) -> int:
        """How often the number of any pool turned from up to down, or from down to up."""
        directions: dict[str, list[int]] = {}
        for change in self.changes(since, until):
            seen = directions.setdefault(change.pool, [])
            if not seen or seen[-1] != change.by:
                seen.append(change.by)
        return sum(len(seen) - 1 for seen in directions.values())

    def _take(self, kind: str, pod: Json) -> None:
        uid, labels = pod["metadata"]["uid"], pod["metadata"].get("labels", {})
        gone = kind == DELETED or pod.get("status", {}).get("phase") in ENDED
        pool = labels.get(POOL_LABEL, "")
        with self._lock:
            if gone and uid in self._alive:
                self._changes.append(Change(time.monotonic(), self._alive.pop(uid), -1))
            elif not gone and uid not in self._alive:
                self._alive[uid] = pool
                self._changes.append(Change(time.monotonic(), pool, 1))
