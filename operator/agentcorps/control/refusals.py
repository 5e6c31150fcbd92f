"""Refusals: how a use case tells an agent no."""

from __future__ import annotations


class ProtocolError(Exception):
    """A call of an agent that is not done; the gateway answers it as RFC 9457 problem details.

    Attributes:
        status: HTTP status code of the answer.
        title: Short summary that an agent may test for, such as ``UnknownInstance``.
        detail: What was wrong and what to do; never a payload.
        retry_after: Seconds after which the same call may succeed, if waiting helps.
    """

    def __init__(
        self, status: int, title: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after = retry_after


def unavailable(
    detail: str = "the API server does not answer; try again",
) -> ProtocolError:
    """Return the refusal of a call that may succeed when it is made again in a second."""
    return ProtocolError(503, "Unavailable", detail, retry_after=1)
