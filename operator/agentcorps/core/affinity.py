"""Which agent served each affinity key last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord

MAX_KEYS: Final = 100_000
"""Keys that are remembered, over all namespaces: at most about 30 MiB."""


class _Service(NamedTuple):
    started_at: float
    agent: str


class Affinities:
    """The last agent of each key, per namespace, for the keys that were used last.

    Made of what Tasks tell, Running and finished ones: a restarted operator knows as much as the
    Tasks that are kept.
    """

    def __init__(self, limit: int = MAX_KEYS) -> None:
        """At most ``limit`` keys are kept; the one that was used least recently goes first."""
        self._limit = limit
        self._last: dict[tuple[str, str], _Service] = {}

    def __len__(self) -> int:
        return len(self._last)

    def note(self, task: TaskRecord) -> None:
        """A Task is, or was, bound to an agent (or to none yet)."""
        if not task.affinity_key or not task.agent_name or task.started_at is None:
            return
        key = (task.key.namespace, task.affinity_key)
        service, known = _Service(task.started_at, task.agent_name), self._last.get(key)
        if known is not None and service <= known:
            return
        self._last.pop(key, None)
        self._last[key] = service
        if len(self._last) > self._limit:
            del self._last[next(iter(self._last))]

    def agent_for(self, task: TaskRecord) -> str:
        """Name of the agent that served the Task's key last; empty when none is known."""
        known = self._last.get((task.key.namespace, task.affinity_key))
        return "" if known is None else known.agent
