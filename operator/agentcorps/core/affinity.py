"""Which agent served each affinity key last."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord

    Name = tuple[str, str]

MAX_KEYS: Final = 100_000
"""Keys that are remembered, over all namespaces: at most about 40 MiB."""


class _Service(NamedTuple):
    started_at: float
    agent: str
    pod_uid: str


class Affinities:
    """The last agent of each key, per namespace, for the keys that were used last.

    Made of what Tasks tell, Running and finished ones: a restarted operator knows as much as the
    Tasks that are kept.
    """

    def __init__(self, limit: int = MAX_KEYS) -> None:
        """At most ``limit`` keys are kept; the one that was used least recently goes first."""
        self._limit = limit
        self._last: dict[Name, _Service] = {}
        self._warm: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._last)

    def note(self, task: TaskRecord) -> None:
        """A Task is, or was, bound to an agent (or to none yet)."""
        if not task.affinity_key or not task.agent_name or task.started_at is None:
            return
        key = (task.key.namespace, task.affinity_key)
        service = _Service(task.started_at, task.agent_name, task.pod_uid)
        known = self._last.get(key)
        if known is not None and service <= known:
            return
        self._forget(key)
        self._last[key] = service
        self._warm[service.pod_uid] += 1
        if len(self._last) > self._limit:
            self._forget(next(iter(self._last)))

    def agent_for(self, task: TaskRecord) -> str:
        """Name of the agent that served the Task's key last; empty when none is known."""
        known = self._last.get((task.key.namespace, task.affinity_key))
        return "" if known is None else known.agent

    def warmth(self, pod_uid: str) -> int:
        """How many keys a pod served last: what is lost when it goes."""
        return self._warm[pod_uid]

    def _forget(self, key: Name) -> None:
        gone = self._last.pop(key, None)
        if gone is None:
            return
        self._warm[gone.pod_uid] -= 1
        if not self._warm[gone.pod_uid]:
            del self._warm[gone.pod_uid]
