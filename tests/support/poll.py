"""Waiting for a condition, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def until(
    probe: Callable[[], Result | None], what: str, *, seconds: float = 60, every: float = 0.2
) -> Result:
    """Return the first truthy answer of `probe`.

    Args:
        probe: Asked again and again.
        what: What is waited for, for the message.
        seconds: After which it is given up; a guard, not a measurement.
        every: Seconds between two questions.

    Raises:
        AssertionError: It did not come; the message holds the last answer.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s; last answer: {answer!r}")
        time.sleep(every)
