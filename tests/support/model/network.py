"""Messages under way: each waits until the world lets it pass or loses it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.model.replica import Replica


class Way(Enum):
    """Where a message goes."""

    TO_API = auto()
    FROM_API = auto()
    TO_GATEWAY = auto()
    FROM_GATEWAY = auto()
    LATE = auto()
    """A request to the API server that its sender has given up."""


ARRIVES_AT_REPLICA = frozenset({Way.FROM_API, Way.TO_GATEWAY})
"""What a paused process cannot take."""
OUTLIVES_ITS_SENDER = frozenset({Way.TO_API, Way.LATE})


@dataclass(eq=False, slots=True)
class Message:
    """One message; its future tells whether it arrives."""

    way: Way
    replica: Replica
    arrival: asyncio.Future[bool]
    slow: bool = False
    """Overtaken by all others."""

    @property
    def may_pass(self) -> bool:
        """Whether somebody is there to take it."""
        return not (self.replica.paused and self.way in ARRIVES_AT_REPLICA)


class Network:
    """All messages under way, in the order in which they were sent."""

    def __init__(self) -> None:
        self._under_way: list[Message] = []
        self._traps: dict[Way, bool] = {}
        self._void: list[Message] = []
        """What nobody will ever take; whoever waits for it waits on, as a dead process does."""

    async def hop(self, way: Way, replica: Replica) -> bool:
        """Send a message; True when it has arrived, False when it is lost."""
        trap = self._traps.pop(way, None)
        if trap is False:
            return False
        message = Message(way, replica, asyncio.get_running_loop().create_future())
        message.slow = trap is True
        (self._void if replica.dead else self._under_way).append(message)
        try:
            return await message.arrival
        finally:
            if message in self._under_way:
                self._under_way.remove(message)

    def trap(self, way: Way, *, slow: bool) -> None:
        """The next message of this way is held up, or lost."""
        self._traps[way] = slow

    def calm(self) -> None:
        """Nothing is held up or lost from now on."""
        self._traps.clear()
        for message in self._under_way:
            message.slow = False

    def passable(self) -> list[Message]:
        """What could arrive now."""
        return [one for one in self._under_way if one.may_pass and not one.arrival.done()]

    def swift(self) -> list[Message]:
        """What could arrive now and is not held up somewhere."""
        return [one for one in self.passable() if not one.slow]

    def let(self, message: Message, *, arrive: bool) -> None:
        """Decide what becomes of a message."""
        self._under_way.remove(message)
        message.arrival.set_result(arrive)

    def cut(self, replica: Replica) -> None:
        """A process is gone: what it sent to the API server may arrive, nothing else will."""
        for message in list(self._under_way):
            if message.replica is replica and message.way not in OUTLIVES_ITS_SENDER:
                self._under_way.remove(message)
                self._void.append(message)
