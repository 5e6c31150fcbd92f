"""Objects that could not be created: they rest, longer each time, and their status says why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, ItemsView

Name = TypeVar("Name", bound="Hashable")

FIRST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with one object, and until when (monotonic seconds) it rests."""

    reason: str
    message: str
    failures: int
    until: float


class Troubles(Generic[Name]):
    """Troubles of one kind of object, by name or UID."""

    def __init__(
        self, first_rest: float = FIRST_REST_SECONDS, *, pardoned: int = 0, quiet: float = inf
    ) -> None:
        """Tell how long objects rest; each further failure doubles it.

        Args:
            first_rest: Seconds.
            pardoned: Failures before the first rest.
            quiet: Seconds without a failure, after a rest, that make a failure the first again.
        """
        self._first_rest = first_rest
        self._pardoned = pardoned
        self._quiet = quiet
        self._troubles: dict[Name, Trouble] = {}

    def note(
        self, key: Name, reason: str, message: str, now: float, *, spread: bool = False
    ) -> bool:
        """Remember a failure; True when it is news (not the same reason and message as before).

        With ``spread`` the rest is between an eighth of it and a quarter: those that were in each
        other's way come back soon, and not together.
        """
        last = self._troubles.get(key)
        if last is not None and now > last.until + self._quiet:
            last = None
        failures = 1 if last is None else last.failures + 1
        doublings = failures - self._pardoned - 1
        rest = min(LONGEST_REST_SECONDS, self._first_rest * 2.0 ** min(doublings, 20))
        rest = rest if doublings >= 0 else 0.0
        rest = rest * _part(key, failures) if spread else rest
        self._troubles[key] = Trouble(reason, message, failures, now + rest)
        return last is None or (last.reason, last.message) != (reason, message)

    def clear(self, key: Name) -> None:
        """It worked, or the object is gone."""
        self._troubles.pop(key, None)

    def end_rests(self, now: float, ends: Callable[[Name, Trouble], bool]) -> list[Name]:
        """Let those rest no longer for which it says so; the next rest is longer all the same."""
        woken = [
            name for name, one in self._troubles.items() if one.until > now and ends(name, one)
        ]
        for name in woken:
            self._troubles[name] = replace(self._troubles[name], until=now)
        return woken

    def of(self, key: Name) -> Trouble | None:
        """What is wrong with an object, if anything."""
        return self._troubles.get(key)

    def resting(self, key: Name, now: float) -> bool:
        """Whether an object is to be left alone for now."""
        trouble = self._troubles.get(key)
        return trouble is not None and now < trouble.until

    def rest(self, key: Name, now: float) -> float:
        """Seconds for which an object is to be left alone; 0.0 when it is not."""
        trouble = self._troubles.get(key)
        return 0.0 if trouble is None else max(0.0, trouble.until - now)

    def tell(self, key: Name, message: str) -> None:
        """Put what is wrong with an object in other words."""
        self._troubles[key] = replace(self._troubles[key], message=message)

    def next_due(self, now: float) -> float | None:
        """Seconds until the first rest ends; None when nothing rests."""
        ends = [trouble.until - now for trouble in self._troubles.values() if trouble.until > now]
        return min(ends, default=None)

    def items(self) -> ItemsView[Name, Trouble]:
        """All troubles by object."""
        return self._troubles.items()


def _part(name: object, failures: int) -> float:
    """Return between an eighth and a quarter: the same for the same name and number, else any."""
    return (1 + crc32(f"{name}/{failures}".encode()) / 2**32) / 8
