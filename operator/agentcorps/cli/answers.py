"""From what the API server answered (or did not) to an error for people."""

from __future__ import annotations

import json
import ssl
from typing import Any, Final

import urllib3

from agentcorps.cli.errors import (
    AlreadyExistsError,
    ApiError,
    CliError,
    InputError,
    NotFoundError,
    UnreachableError,
    one_line,
)

MAX_TEXT: Final = 600
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_INVALID: Final = frozenset({400, 413, 422})
_LATER: Final = frozenset({410, 429})
_SERVER_ERROR: Final = 500


def error_from_answer(code: int, text: str, host: str) -> CliError:  # noqa: PLR0911 (a table)
    """Return the error for an answer with HTTP status `code` and body `text`."""
    status = _status(text)
    message = _clip(status.get("message") or text or f"HTTP {code}")
    if code == _UNAUTHORIZED:
        return InputError(
            f"{host} does not accept your login: it is missing, wrong or expired; log in"
        )
    if code == _FORBIDDEN:
        return ApiError(f"not allowed: {message}; ask who runs the cluster, or use --as")
    if code == _NOT_FOUND:
        return NotFoundError(message)
    if status.get("reason") == "AlreadyExists":
        return AlreadyExistsError(f"{message}: choose another name")
    if code in _INVALID:
        return InputError(f"the API server refused it: {message}")
    if code in _LATER or code >= _SERVER_ERROR:
        return UnreachableError(f"the API server answered {code}: {message}; try again")
    return ApiError(f"the API server answered {code}: {message}")


def error_from_connection(host: str, error: Exception) -> CliError:
    """Return the error for a request that got no answer."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, (ssl.SSLError, urllib3.exceptions.SSLError)) or "SSLError" in str(reason):
        return ApiError(f"no trusted connection to {host}: {_cause(reason)}; check the kubeconfig")
    return UnreachableError(
        f"cannot reach the API server at {host}: {_cause(reason)};"
        " is the cluster running, and is it the right --context?"
    )


def _status(text: str) -> dict[str, Any]:
    try:
        decoded = json.loads(text)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _cause(reason: Any) -> str:
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return "no answer in time"
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)  # a ConnectTimeoutError too
    if isinstance(reason, urllib3.exceptions.ConnectTimeoutError) and not refused:
        return "no connection in time"
    # urllib3 puts the repr of an object before the cause: "<...>: Failed to ...: [Errno 111] ...".
    return _clip(str(reason).rpartition(": ")[2] or type(reason).__name__)


def _clip(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"
