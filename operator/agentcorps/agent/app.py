"""The face of the SDK: an object to register functions on and to run."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from typing import TYPE_CHECKING, Any, TypeVar

from agentcorps.agent import logs
from agentcorps.agent.errors import SettingsError
from agentcorps.agent.handlers import Handler, check_capability, make_handler
from agentcorps.agent.settings import Settings
from agentcorps.agent.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Function = TypeVar("Function", bound="Callable[..., Any]")

MAX_SLOTS = 100


class Agent:
    """Works on the tasks of a pool with the functions registered on it.

    Args:
        slots: Tasks that this process works on at a time, 1 to 100. The Agent's own ``slots``
            limits them too.
        capabilities: What this program has besides its functions' own capabilities, such as
            ``gpu``: a task may require it together with one of those.

    Raises:
        ValueError: ``slots`` is out of range, or a capability is empty or too long.
    """

    def __init__(self, slots: int = 1, *, capabilities: Iterable[str] = ()) -> None:
        if not 1 <= slots <= MAX_SLOTS:
            raise ValueError(f"slots must be 1 to {MAX_SLOTS}")
        self._slots = slots
        self._capabilities = tuple(map(check_capability, capabilities))
        self._handlers: dict[str | None, Handler] = {}

    def task(
        self, capability: str | None = None, *, process: bool = False
    ) -> Callable[[Function], Function]:
        """Register a function for tasks that require a capability.

        The function takes ``(input)`` or ``(input, ctx)``. An ``async`` function runs on the event
        loop and is cancelled when its task is. Any other function runs in a thread, which nothing
        can interrupt: it should look at ``ctx.cancelled`` now and then, and keeps its slot until
        it returns.

        Args:
            capability: None registers the function for whatever has no function of its own.
            process: Run each task in a process of its own, which is killed when the task is
                cancelled or out of time. The function must stand at the top of its module.

        Raises:
            TypeError: The function does not take ``(input)`` or ``(input, ctx)``, or cannot run in
                another process.
            ValueError: There is a function for this capability already.
        """

        def register(function: Function) -> Function:
            if capability in self._handlers:
                raise ValueError(f"there is a handler for {capability or 'any task'!r} already")
            self._handlers[capability] = make_handler(function, capability, process=process)
            return function

        return register

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; blocks.

        Raises:
            SystemExit: With a line for people, when the environment lacks a setting.
            RuntimeError: No function is registered, or the program lacks its
                ``if __name__ == "__main__":``.
        """
        if multiprocessing.parent_process() is not None:
            raise RuntimeError('put agent.run() under: if __name__ == "__main__":')
        try:
            settings = Settings.from_environ()
        except SettingsError as error:
            raise SystemExit(f"agentcorps: {error}") from None
        logs.configure()
        asyncio.run(self._until_signal(settings))

    async def serve(self, settings: Settings, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, in a loop of the caller's.

        Raises:
            RuntimeError: No function is registered.
        """
        if not self._handlers:
            raise RuntimeError("register a function with @agent.task(...) first")
        worker = Worker(settings, list(self._handlers.values()), self._slots, self._offered())
        working = asyncio.create_task(worker.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            worker.stop()
            await working
        finally:
            stopping.cancel()
            working.cancel()

    def _offered(self) -> list[str]:
        """Capabilities to tell the gateway; none stands for all that the Agent declares."""
        named = [one for one in self._handlers if one is not None]
        if len(named) < len(self._handlers):
            return []
        return sorted({*named, *self._capabilities})

    async def _until_signal(self, settings: Settings) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.serve(settings, stop)
