"""Reads fields of decoded JSON, and says which one is wrong and how, never what stood there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING: Final[dict[str, Any]] = {}


class Malformed(ValueError):
    """An object that cannot be read.

    Attributes:
        path: The field that is wrong, such as ``metadata.uid``.
        what: What is wrong with it; never its value.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} {what}")
        self.path = path
        self.what = what


def section(source: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    """An object; empty when absent."""
    value = source.get(name)
    if isinstance(value, dict):
        return value
    if value is None:
        return _NOTHING
    raise Malformed(path, "must be an object")


def entries(source: Mapping[str, Any], name: str, path: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty when absent."""
    value = source.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return value
    raise Malformed(path, "must be a list of objects")


def words(source: Mapping[str, Any], name: str, path: str) -> frozenset[str]:
    """A set of strings; empty when absent."""
    value = source.get(name)
    if value is None:
        return frozenset()
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return frozenset(value)
    raise Malformed(path, "must be a list of strings")


def text(source: Mapping[str, Any], name: str, path: str, default: str | None = None) -> str:
    """A string; without a default it must be there and not be empty."""
    value = source.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, str) and (value or default is not None):
        return value
    absent = value is None or isinstance(value, str)
    raise Malformed(path, "is missing" if absent else "must be a string")


def whole(
    source: Mapping[str, Any], name: str, path: str, default: int, at_least: int | None = 0
) -> int:
    """An integer."""
    value = source.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(path, "must be an integer")
    if at_least is not None and value < at_least:
        raise Malformed(path, f"must be at least {at_least}")
    return value


def optional(
    source: Mapping[str, Any], name: str, path: str, at_least: int | None = 0
) -> int | None:
    """An integer; None when absent."""
    if source.get(name) is None:
        return None
    return whole(source, name, path, 0, at_least)


def flag(source: Mapping[str, Any], name: str, path: str) -> bool:
    """True or false; false when absent."""
    value = source.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise Malformed(path, "must be true or false")


def moment(source: Mapping[str, Any], name: str, path: str) -> float | None:
    """An RFC 3339 time as seconds since the Unix epoch; None when absent."""
    value = source.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        seconds = parse_time(value)
        if seconds is not None:
            return seconds
    raise Malformed(path, "must be an RFC 3339 time with a zone")


def parse_time(value: str) -> float | None:
    """Seconds since the Unix epoch of an RFC 3339 time (fractions allowed); None if it is none."""
    try:
        parsed = datetime.fromisoformat(value)
        return None if parsed.tzinfo is None else parsed.timestamp()
    except (ValueError, OverflowError):
        return None
