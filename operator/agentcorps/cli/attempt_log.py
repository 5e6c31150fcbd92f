"""Which lines of an agent's log belong to one attempt of a Task.

The SDK writes one JSON object per line, with the uid and attempt of the Task that it is about. What
the agent's own code prints says nothing of the kind: it is taken for the attempt's while no other
one runs in the pod.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

STARTED: Final = "task started"
ENDED: Final = "task ended"
"""Events of the SDK (agent/attempts.py)."""


class AttemptId(NamedTuple):
    """One attempt of one Task."""

    uid: str
    attempt: int


class AttemptLog:
    """Reads a log from its beginning, and tells for each line whether it is to be shown."""

    def __init__(self, wanted: AttemptId, *, shared: bool) -> None:
        """Prepare.

        Args:
            wanted: The attempt.
            shared: Whether lines that any of several running attempts may have written count.
        """
        self._wanted = wanted
        self._shared = shared
        self._running: set[AttemptId] = set()
        self.shown = 0
        """Lines that were to be shown."""
        self.withheld = 0
        """Lines that the attempt may have written, or another one that ran at the time."""
        self.ended = False
        """Whether the attempt's end was seen."""

    def takes(self, line: str) -> bool:
        """Take a line in; tell whether it is to be shown."""
        shows = self._judge(line)
        self.shown += shows
        return shows

    def _judge(self, line: str) -> bool:
        who, event = _tag(line)
        if who is None:
            return self._may_be_its_own()
        if event == STARTED:
            self._running.add(who)
        elif event == ENDED:
            self._running.discard(who)
            self.ended = self.ended or who == self._wanted
        return who == self._wanted

    def _may_be_its_own(self) -> bool:
        if self._wanted not in self._running:
            return False
        if self._shared or len(self._running) == 1:
            return True
        self.withheld += 1
        return False


def _tag(line: str) -> tuple[AttemptId | None, str]:
    """Whose line it is, if it says so, and what happened."""
    if not line.startswith("{"):
        return None, ""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None, ""
    uid, attempt, event = said.get("uid"), said.get("attempt"), said.get("event")
    if not isinstance(uid, str) or not isinstance(attempt, int):
        return None, ""
    return AttemptId(uid, attempt), event if isinstance(event, str) else ""
