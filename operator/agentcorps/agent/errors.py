"""What may go wrong between an agent and its gateway, and what a handler may raise."""

from __future__ import annotations

import re

REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
UNKNOWN_INSTANCE = "UnknownInstance"


class TaskError(Exception):
    """Raised by a handler to fail its attempt with a message for people.

    Unlike that of any other exception, its text is shown to whoever may read the Task: keep the
    Task's input out of it.

    Args:
        message: What was wrong and what to do.
        reason: CamelCase word for machines, up to 64 characters.
        retryable: False ends the Task at once; True lets its retry policy decide.

    Raises:
        ValueError: ``reason`` is not such a word.
    """

    def __init__(self, message: str, *, reason: str = "AgentError", retryable: bool = True) -> None:
        if not REASON.fullmatch(reason):
            raise ValueError("reason must be a CamelCase word of at most 64 letters and digits")
        super().__init__(message)
        self.message = str(message)
        self.reason = reason
        self.retryable = retryable


class SettingsError(ValueError):
    """The environment does not say what an agent needs to know; the message is one line."""


class GatewayError(Exception):
    """A call to the gateway was not answered with success."""


class Unreachable(GatewayError):
    """No answer, or none that can be understood. The call may or may not have been heard."""


class Refused(GatewayError):
    """The gateway said no."""

    def __init__(
        self, status: int, title: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after = retry_after

    @property
    def session_lost(self) -> bool:
        """Whether the gateway does not know this process, so that it must say hello again."""
        return self.title == UNKNOWN_INSTANCE
