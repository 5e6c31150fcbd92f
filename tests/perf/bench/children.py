"""Processes that the benchmark starts: they answer lines on standard input, and end with it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from perf.bench.client import Json

PROGRAM = Path(__file__).parent
_LONGEST_ANSWER = 2**28
_PATIENCE_SECONDS = 10


class Child:
    """A process of this program in another role."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use ``running`` to start one."""
        self._process = process

    @classmethod
    @asynccontextmanager
    async def running(cls, role: str, *arguments: str, log: Path) -> AsyncIterator["Child"]:
        """Start a child, and end it whatever happens."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(PROGRAM),
                role,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=_LONGEST_ANSWER,
                # Ctrl-C goes to the parent, which ends its children in order.
                start_new_session=True,
            )
        child = cls(process)
        try:
            yield child
        finally:
            await child.end()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def ask(self, question: str) -> Json:
        """Send a line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(question.encode() + b"\n")
        await self._process.stdin.drain()
        return await self.told()

    async def told(self) -> Json:
        """Return the next line that it says.

        Raises:
            RuntimeError: It has ended.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a child process ended with {await self._process.wait()}")
        answer: Json = orjson.loads(line)
        return answer

    async def end(self) -> None:
        """Close its input, and do not wait for ever."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
