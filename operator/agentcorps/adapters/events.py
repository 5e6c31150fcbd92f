"""Events for people (events.k8s.io/v1): implements ``ports.EventSink``."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from agentcorps.adapters.timestamps import micro_time
from agentcorps.ports import ClusterError, Kind, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Clock, Note, Object

CONTROLLER = "agentcorps.dev/operator"
_MAX_NOTE = 1024
_MAX_NAME = 230
_LOG = structlog.get_logger()


class KubeEvents:
    """Writes Events one at a time and not too fast; a full queue drops new ones and counts them.

    Warnings go first: when hundreds of agents come and go, nobody is to wait for minutes to read
    what went wrong.
    """

    def __init__(
        self,
        api: ApiConnection,
        *,
        instance: str,
        clock: Clock,
        capacity: int = 1000,
        per_second: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; ``run`` writes.

        Args:
            api: Connection to the API server.
            instance: Name of this process, as ``reportingInstance``.
            clock: Tells when a note was emitted.
            capacity: Warnings that may wait, and other notes.
            per_second: Most Events written in a second.
            sleep: Waits for seconds.
        """
        self._api = api
        self._instance = instance
        self._clock = clock
        self._capacity = capacity
        self._pause = 1.0 / per_second
        self._sleep = sleep
        self._warnings: deque[Object] = deque()
        self._others: deque[Object] = deque()
        self._arrived = asyncio.Event()
        self.dropped = 0

    def emit(self, note: Note) -> None:
        """Publish a note soon."""
        lane = self._warnings if note.warning else self._others
        if len(lane) >= self._capacity:
            self.dropped += 1
            return
        lane.append(self._event(note))
        self._arrived.set()

    async def run(self) -> None:
        """Write what is emitted, until cancelled. An Event that cannot be written is dropped."""
        while True:
            await self._arrived.wait()
            while lane := self._warnings or self._others:
                await self._sleep(max(self._pause, await self._write(lane.popleft())))
            self._arrived.clear()

    async def _write(self, event: Object) -> float:
        """Write one Event; returns the seconds that the API server asked to be left alone."""
        namespace = event["metadata"]["namespace"]
        try:
            await self._api.request(
                "POST", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body=event
            )
        except ClusterError as error:
            self.dropped += 1
            _LOG.debug("events.dropped", reason=event["reason"], error=str(error))
            return (error.retry_after or 0.0) if isinstance(error, Unavailable) else 0.0
        return 0.0

    def _event(self, note: Note) -> Object:
        event: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{note.key.name[:_MAX_NAME]}.{uuid.uuid4().hex[:16]}",
                "namespace": note.key.namespace,
            },
            "eventTime": micro_time(self._clock.now().wall),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "action": note.action,
            "reason": note.reason,
            "regarding": _reference(note.kind, note.key) | {"uid": note.uid},
            "type": "Warning" if note.warning else "Normal",
            "note": _shortened(note.message),
        }
        if note.related is not None:
            event["related"] = _reference(Kind.AGENT, note.related)
        return event


def _reference(kind: Kind, key: Any) -> dict[str, str]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "namespace": key.namespace,
        "name": key.name,
    }


def _shortened(text: str) -> str:
    """At most 1,024 bytes, as the API server counts them."""
    raw = text.encode(errors="replace")
    if len(raw) <= _MAX_NOTE:
        return text
    return raw[: _MAX_NOTE - 3].decode(errors="ignore") + "..."
