"""Starts a handler where it belongs: on the loop, in a thread, or in a process of its own.

Every way gives a future of an Outcome. Work on the loop ends when it is cancelled, a process when
it is killed; a thread runs until its function returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any

from agentcorps.agent import outcome
from agentcorps.agent.call import call_async, call_sync
from agentcorps.agent.handlers import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.agent.context import Context, TaskInfo
    from agentcorps.agent.handlers import Handler
    from agentcorps.agent.outcome import Outcome


def start(
    handler: Handler, value: dict[str, Any], info: TaskInfo, context: Context
) -> asyncio.Future[Outcome]:
    """Start a handler on an input; the future never raises, but may be cancelled."""
    match handler.mode:
        case Mode.LOOP:
            return asyncio.create_task(call_async(handler, value, info, context), name=info.uid)
        case Mode.THREAD:
            return _in_thread(lambda: call_sync(handler, value, info, context), info)
        case Mode.PROCESS:
            # Here, not above: most agents never need what multiprocessing brings along.
            from agentcorps.agent.process import run_in_process  # noqa: PLC0415

            return _in_thread(lambda: run_in_process(handler, value, info, context), info)


def _in_thread(call: Callable[[], Outcome], info: TaskInfo) -> asyncio.Future[Outcome]:
    """Run a call in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()
    variables = contextvars.copy_context()

    def settle(result: Outcome) -> None:
        if not future.done():
            future.set_result(result)

    def run() -> None:
        try:
            result = variables.run(call)
        except BaseException as error:  # noqa: BLE001 -- nobody else would hear of it
            result = outcome.of_error(error)
        # The loop is gone when the process is about to end.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name=f"task-{info.name}", daemon=True).start()
    return future
