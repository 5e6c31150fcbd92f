"""Waiting tasks whose binding was tried in vain, because something outside of them is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agentcorps.api.meta import TaskReason

FIRST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 60.0


class Rest(NamedTuple):
    """What is missing, and until when the task is left alone."""

    reason: TaskReason | None
    """As ``status.reason`` tells it; None when that says nothing about the task."""
    message: str
    tries: int
    until: float
    """Wall time."""


class Rests:
    """Rests by UID. They are forgotten once the task is bound, over or gone."""

    def __init__(self) -> None:
        self._rests: dict[str, Rest] = {}

    def note(self, uid: str, reason: TaskReason | None, message: str, wall: float) -> bool:
        """Let a task rest: 1, 2, 4 … 60 s, longer each time.

        Returns:
            Whether its reason or message is another one than before.
        """
        last = self._rests.get(uid)
        tries = 1 if last is None else last.tries + 1
        seconds = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(tries - 1, 20))
        self._rests[uid] = Rest(reason, message, tries, wall + seconds)
        return last is None or (last.reason, last.message) != (reason, message)

    def of(self, uid: str) -> Rest | None:
        """What a task lacks, as far as was seen when it was last tried."""
        return self._rests.get(uid)

    def until(self, uid: str) -> float:
        """Wall time before which a task is not bound; 0.0 when it need not rest."""
        rest = self._rests.get(uid)
        return 0.0 if rest is None else rest.until

    def forget(self, uid: str) -> None:
        """The task is bound, over or gone."""
        self._rests.pop(uid, None)
