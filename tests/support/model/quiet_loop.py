"""An event loop on a clock that stands still: it runs until nothing more can happen now."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from support.control_room import ManualClock

Answer = TypeVar("Answer")


class _Idle(selectors.SelectSelector):
    """Tells when the loop would have to wait: there is no I/O, so only time could end that."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], object] = dict

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout != 0:
            self.idle()
        return []


class QuietLoop(asyncio.SelectorEventLoop):
    """Its time is that of a ManualClock; ``settle`` returns when every task waits."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        selector = _Idle()
        super().__init__(selector)
        selector.idle = self.stop

    def time(self) -> float:
        """Seconds of the manual clock."""
        return self.clock.seconds

    def settle(self) -> None:
        """Run whatever can run at this instant."""
        self.run_forever()

    def begin(self, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        """Start work and run it until it waits."""
        task = self.create_task(work)
        self.settle()
        return task

    def abandon(self) -> None:
        """End all tasks, whatever they wait for."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()
