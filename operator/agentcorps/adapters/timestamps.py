"""Times as the API server writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def micro_time(wall: float) -> str:
    """RFC 3339 with microseconds, of seconds since the Unix epoch (``MicroTime``)."""
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
