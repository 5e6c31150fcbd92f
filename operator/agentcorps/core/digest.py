"""A digest of JSON that survives the way through the API server."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, Final

_LEAST: Final = -(2**63)
_GREATEST: Final = 2**63 - 1


def canonical_digest(value: Any) -> str:
    """Return ``sha256:`` and the hex digest of a JSON value as the API server stores it.

    Raises:
        ValueError: The value holds a number that JSON lacks (NaN, infinity).
        TypeError: The value is not JSON.
    """
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return a JSON value as stored, with sorted keys and without spaces, in UTF-8.

    The API server keeps an integer of 64 bits and turns any other number into a double; it writes a
    whole double that fits as an integer (1.0 becomes 1), by its shortest digits.

    Raises:
        ValueError: The value holds a number that JSON lacks (NaN, infinity).
        TypeError: The value is not JSON.
    """
    text = json.dumps(
        _stored(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )
    return text.encode()


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stored(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if _LEAST <= value <= _GREATEST else _double(value)
    return _whole(value) if isinstance(value, float) else value


def _double(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError("a number is too large for JSON in the API server") from None


def _whole(number: float) -> int | float:
    if not number.is_integer():
        return number
    shortest = int(Decimal(repr(number)))
    return shortest if _LEAST <= shortest <= _GREATEST else number


def _text(text: str) -> str:
    """The text with lone surrogates replaced, as Go's JSON decoder does."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
