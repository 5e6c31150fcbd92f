"""Who is connected: strangers, of whom there may be a few, and pods, each with a few connections.

A connection that has not shown a good token costs its owner nothing and this process a TLS session.
When there are too many of them, whoever has been silent for longest has to go: an agent shows its
token at once, so that it comes through although others only hold connections open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Connection = TypeVar("Connection", bound="Hashable")

MOST_STRANGERS: Final = 1024
MOST_PER_POD: Final = 256


class Crowd(Generic[Connection]):
    """All open connections."""

    def __init__(
        self,
        turn_out: Callable[[Connection], object],
        *,
        strangers: int = MOST_STRANGERS,
        per_pod: int = MOST_PER_POD,
    ) -> None:
        """Prepare.

        Args:
            turn_out: Closes a connection at once.
            strangers: Connections without a good token at a time.
            per_pod: Connections of one pod at a time.
        """
        self._turn_out = turn_out
        self._most_strangers = strangers
        self._most_per_pod = per_pod
        self._strangers: dict[Connection, None] = {}
        self._pods: dict[str, dict[Connection, None]] = {}
        self._owner: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._strangers) + len(self._owner)

    def enter(self, connection: Connection) -> None:
        """Somebody has connected."""
        self._strangers[connection] = None
        if len(self._strangers) > self._most_strangers:
            self._dismiss(next(iter(self._strangers)))

    def recognise(self, connection: Connection, pod_uid: str) -> None:
        """A connection has shown the token of a pod."""
        if connection not in self._strangers:
            return
        del self._strangers[connection]
        self._owner[connection] = pod_uid
        own = self._pods.setdefault(pod_uid, {})
        own[connection] = None
        if len(own) > self._most_per_pod:
            self._dismiss(next(iter(own)))

    def leave(self, connection: Connection) -> None:
        """A connection is closed."""
        self._strangers.pop(connection, None)
        pod_uid = self._owner.pop(connection, None)
        if pod_uid is not None:
            own = self._pods[pod_uid]
            del own[connection]
            if not own:
                del self._pods[pod_uid]

    def _dismiss(self, connection: Connection) -> None:
        self.leave(connection)
        self._turn_out(connection)
