"""What a handler may know and say about the attempt that it works on."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentcorps.agent.text import sendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.api.protocol import TaskDelivery

    Listener = Callable[[], object]
    Report = Callable[[int | None, str], None]


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """Which attempt of which Task; goes to a handler's own process as it is."""

    name: str
    namespace: str
    uid: str
    attempt: int
    requires: tuple[str, ...]
    traceparent: str | None
    deadline: float
    """End of the attempt's time on the machine's monotonic clock, in seconds."""

    @classmethod
    def of(cls, delivery: TaskDelivery) -> TaskInfo:
        """Note what was delivered, just now."""
        return cls(
            name=delivery.name,
            namespace=delivery.namespace,
            uid=delivery.uid,
            attempt=delivery.attempt,
            requires=tuple(delivery.requires),
            traceparent=delivery.traceparent,
            deadline=time.monotonic() + delivery.remaining_seconds,
        )


class Context:
    """The second argument of a handler that wants one. All of it may be used from any thread."""

    def __init__(self, info: TaskInfo, report: Report) -> None:
        self._info = info
        self._report = report
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._listeners: list[Listener] = []

    @property
    def name(self) -> str:
        """Name of the Task."""
        return self._info.name

    @property
    def namespace(self) -> str:
        """Namespace of the Task."""
        return self._info.namespace

    @property
    def uid(self) -> str:
        """UID of the Task; with ``attempt`` an idempotency key for effects outside."""
        return self._info.uid

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._info.attempt

    @property
    def requires(self) -> tuple[str, ...]:
        """Capabilities that the Task asks for."""
        return self._info.requires

    @property
    def traceparent(self) -> str | None:
        """W3C trace context of the Task, if tracing is on."""
        return self._info.traceparent

    @property
    def remaining_seconds(self) -> float:
        """Seconds left of the attempt's timeout, 0 when it is over."""
        return max(0.0, self._info.deadline - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to stop: cancelled, out of time, or the pod ends."""
        return self._cancelled.is_set()

    async def until_cancelled(self) -> None:
        """Wait until the attempt is to stop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self.on_cancel(lambda: loop.call_soon_threadsafe(woken.set))
        await woken.wait()

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep for at most this long; True as soon as the attempt is to stop. For threads."""
        return self._cancelled.wait(seconds)

    def progress(self, percent: float | None = None, message: str = "") -> None:
        """Tell how far the work is. Returns at once; of many in a short time the last one counts.

        Args:
            percent: Share done, 0 to 100; what lies outside is cut off.
            message: A short text for people; cut to 1,024 characters. No input of the Task in it.
        """
        if not self.cancelled:
            share = None if percent is None else round(min(100.0, max(0.0, percent)))
            self._report(share, sendable(message))

    def on_cancel(self, listener: Listener) -> None:
        """Have something called when the attempt is to stop; at once if it already is."""
        with self._lock:
            if not self._cancelled.is_set():
                self._listeners.append(listener)
                return
        listener()

    def cancel(self) -> None:
        """Ask the handler to stop. The SDK calls this; calling it again changes nothing."""
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
