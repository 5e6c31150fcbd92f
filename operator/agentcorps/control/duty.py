"""Whether this process may speak for the operator: it holds the Lease, and knows how things stand.

The Lease alone is not enough. Until everything has been listed after it was taken, the state may
lack what the predecessor did last: agents would be told to drop what is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.control.relay import Answer, Relay
from agentcorps.ports import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentcorps.control.relay import Verb
    from agentcorps.core.records import Key
    from agentcorps.ports import Cluster, Kind, Leadership


class Duty:
    """A ``ports.Leadership`` that begins only when the state has caught up."""

    def __init__(self, lease: Leadership) -> None:
        """``lease`` tells whether the Lease is held."""
        self._lease = lease
        self._caught_up = False

    @property
    def leading(self) -> bool:
        """True once the state has caught up, while the Lease is held."""
        return self._caught_up and self._lease.leading

    @property
    def epoch(self) -> int:
        """The term, as the Lease numbers it."""
        return self._lease.epoch

    def begin(self) -> None:
        """Everything has been listed since the Lease was taken."""
        self._caught_up = True


class DutifulCluster(Relay):
    """A ``ports.Cluster`` that begins no write unless this process leads.

    A process that was paused past its Lease goes on where it was, and takes every agent for silent:
    without this it would delete their pods before it notices that another leads.
    """

    def __init__(self, cluster: Cluster, duty: Leadership) -> None:
        """Reads go through at any time."""
        super().__init__(cluster)
        self._duty = duty

    async def pass_on(
        self, verb: Verb, kind: Kind, key: Key, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """See Relay."""
        del kind, key
        if verb != "get":
            self._require()
        return await ask()

    def _require(self) -> None:
        if not self._duty.leading:
            raise Unavailable("this process does not lead any more")
