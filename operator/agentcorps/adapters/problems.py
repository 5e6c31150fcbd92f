"""The API server's errors as the use cases know them, without the values that it quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from agentcorps.ports import ClusterError, Conflict, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_FOUND = 404
REQUEST_TIMEOUT = 408
CONFLICT = 409
GONE = 410
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
_MAX_MESSAGE = 500
_LONGEST_WAIT = 60.0
# Field errors quote what was sent: `Invalid value: "secret": must be ...`, strings in Go's %q form.
_QUOTED_VALUE = re.compile(
    r"((?:Invalid|Unsupported|Duplicate) value): "
    r'(?:"(?:[^"\\]|\\.)*"|[\w.*\[\]]*\{.*\}|[\w.]*\[.*\]|[^\s:]+)(?=: |$)',
    re.DOTALL,
)


def error_of(what: str, status: int, headers: Mapping[str, str], text: bytes) -> ClusterError:
    """The error for an answer of status 400 or more.

    Args:
        what: Method and path of the request.
        status: HTTP status code.
        headers: Headers of the answer, for Retry-After.
        text: Body of the answer: a Status object, or a proxy's words.
    """
    answer = _status_object(text)
    reason = str(answer.get("reason") or "")
    message = f"{what}: {status} {reason}: {_message(answer)}".rstrip(": ")
    if status == NOT_FOUND:
        return NotFound(message)
    if status == CONFLICT:
        return Conflict(message)
    if status in {REQUEST_TIMEOUT, TOO_MANY_REQUESTS} or status >= SERVER_ERROR:
        return Unavailable(message, _retry_after(headers, answer))
    return Refused(status, reason or "Refused", _message(answer))


def _status_object(text: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _message(answer: Mapping[str, Any]) -> str:
    """What the API server says; of field errors the path and the rule, not the value."""
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    if isinstance(causes, list) and causes:
        told = [_cause(cause) for cause in causes if isinstance(cause, dict)]
        return "; ".join(told)[:_MAX_MESSAGE]
    return without_values(str(answer.get("message") or ""))[:_MAX_MESSAGE]


def _cause(cause: Mapping[str, Any]) -> str:
    field = str(cause.get("field") or "")
    message = without_values(str(cause.get("message") or ""))
    return f"{field}: {message}" if field and field != "<nil>" else message


def without_values(message: str) -> str:
    """Take the quoted values out of a field error's message."""
    return _QUOTED_VALUE.sub(r"\1", message)


def _retry_after(headers: Mapping[str, str], answer: Mapping[str, Any]) -> float | None:
    """Seconds to wait, from the header or else from the Status; never more than a minute."""
    details = answer.get("details")
    told = headers.get("Retry-After") or (
        details.get("retryAfterSeconds") if isinstance(details, dict) else None
    )
    if told is None or not re.fullmatch(r"\d{1,6}", str(told)):
        return None
    return min(float(told), _LONGEST_WAIT)
