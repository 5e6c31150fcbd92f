"""Calls a handler: parses its input, and turns whatever comes out of it into an outcome."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agentcorps.agent import outcome
from agentcorps.agent.logs import log_error

if TYPE_CHECKING:
    from agentcorps.agent.context import Context, TaskInfo
    from agentcorps.agent.handlers import Handler
    from agentcorps.agent.outcome import Outcome


def call_sync(handler: Handler, value: dict[str, Any], info: TaskInfo, context: Context) -> Outcome:
    """Call a handler in the calling thread; a coroutine function gets a loop of its own."""
    with _Caught(info) as caught:
        returned = handler.function(*_arguments(handler, value, context))
        if asyncio.iscoroutine(returned):
            returned = asyncio.run(returned)
        caught.outcome = outcome.of_result(returned)
    return caught.outcome


async def call_async(
    handler: Handler, value: dict[str, Any], info: TaskInfo, context: Context
) -> Outcome:
    """Await a handler on the running loop."""
    with _Caught(info) as caught:
        caught.outcome = outcome.of_result(
            await handler.function(*_arguments(handler, value, context))
        )
    return caught.outcome


class _Caught(contextlib.AbstractContextManager["_Caught"]):
    """Turns what a handler raises into a failure."""

    outcome: Outcome

    def __init__(self, info: TaskInfo) -> None:
        self._info = info

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None:
            return True
        if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)):
            return False
        if isinstance(error, _InvalidInput):
            self.outcome = outcome.of_invalid_input(error.error)
            return True
        # SystemExit too: a library that exits must not take the other tasks along.
        log_error(self._info, error)
        self.outcome = outcome.of_error(error)
        return True


class _InvalidInput(Exception):
    """The task's input, not some other model, is invalid."""

    def __init__(self, error: ValidationError) -> None:
        super().__init__("invalid input")
        self.error = error


def _arguments(handler: Handler, value: dict[str, Any], context: Context) -> tuple[Any, ...]:
    try:
        parsed = handler.parse(value)
    except ValidationError as error:
        raise _InvalidInput(error) from None
    return (parsed, context) if handler.takes_context else (parsed,)
