"""What waits for one agent process: bound tasks, and the open poll that will take them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.api.protocol import TaskDelivery
    from agentcorps.control.tide import Poll


class Mailbox:
    """Deliveries for one instance of an agent; at most one poll waits on it."""

    def __init__(self, instance: str) -> None:
        """A new instance has a new, empty mailbox."""
        self.instance = instance
        self._deliveries: list[TaskDelivery] = []
        self._poll: Poll | None = None

    def put(self, delivery: TaskDelivery) -> None:
        """Keep a delivery and answer the open poll, if there is one."""
        self._deliveries.append(delivery)
        self.wake()

    def take(self) -> list[TaskDelivery]:
        """All deliveries that wait, in the order of their binding."""
        taken, self._deliveries = self._deliveries, []
        return taken

    def wake(self) -> None:
        """End the open poll's waiting."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(True)

    def open(self) -> Poll:
        """Open a poll; an older one of the same process ends at once, with nothing."""
        self.wake()
        self._poll = asyncio.get_running_loop().create_future()
        return self._poll

    def close(self, poll: Poll) -> bool:
        """Close a poll; False when a newer one has taken its place."""
        if self._poll is not poll:
            return False
        self._poll = None
        return True
