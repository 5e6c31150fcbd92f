"""Objects that could not be created: they rest, longer each time, and their status says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import ItemsView

    from agentcorps.core.records import Key

FIRST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with one object, and until when (monotonic seconds) it rests."""

    reason: str
    message: str
    failures: int
    until: float


class Troubles:
    """Troubles of one kind of object, by name."""

    def __init__(self) -> None:
        self._troubles: dict[Key, Trouble] = {}

    def note(self, key: Key, reason: str, message: str, now: float) -> bool:
        """Remember a failure; True when it is news (not the same reason and message as before)."""
        last = self._troubles.get(key)
        failures = 1 if last is None else last.failures + 1
        rest = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(failures - 1, 20))
        self._troubles[key] = Trouble(reason, message, failures, now + rest)
        return last is None or (last.reason, last.message) != (reason, message)

    def clear(self, key: Key) -> None:
        """It worked, or the object is gone."""
        self._troubles.pop(key, None)

    def of(self, key: Key) -> Trouble | None:
        """What is wrong with an object, if anything."""
        return self._troubles.get(key)

    def resting(self, key: Key, now: float) -> bool:
        """Whether an object is to be left alone for now."""
        trouble = self._troubles.get(key)
        return trouble is not None and now < trouble.until

    def next_due(self, now: float) -> float | None:
        """Seconds until the first rest ends; None when nothing rests."""
        ends = [trouble.until - now for trouble in self._troubles.values() if trouble.until > now]
        return min(ends, default=None)

    def items(self) -> ItemsView[Key, Trouble]:
        """All troubles by object."""
        return self._troubles.items()
