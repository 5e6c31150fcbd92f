"""The plain concurrent client: pooled connections, raw JSON, nothing of the operator's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import orjson

from support.raw_api import access

Json = dict[str, Any]
Item = TypeVar("Item")

CONNECTIONS = 64
_FAILED = 400
_LONGEST_LINE = 2**22


class Refused(Exception):
    """The API server said no."""


class Client:
    """Requests of an administrator."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use ``connected`` to make one."""
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connected(cls, kubeconfig: Path) -> AsyncIterator["Client"]:
        """Yield a client with a pool of connections."""
        given = access(kubeconfig)
        connector = aiohttp.TCPConnector(ssl=given.tls, limit=CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        async with aiohttp.ClientSession(
            f"https://{given.address}",
            headers=given.headers,
            connector=connector,
            timeout=timeout,
            read_bufsize=_LONGEST_LINE,
        ) as session:
            yield cls(session)

    async def post(self, path: str, body: Json) -> Json:
        """Create an object."""
        return await self._send("POST", path, body, "application/json")

    async def put(self, path: str, body: Json) -> Json:
        """Replace an object, or a part of it."""
        return await self._send("PUT", path, body, "application/json")

    async def get(self, path: str) -> Json:
        """Read an object or a list."""
        return await self._send("GET", path)

    async def metrics(self) -> str:
        """Read the API server's metrics."""
        async with self._session.get("/metrics") as answer:
            return await answer.text()

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Json]:
        """Yield events after a version until the server ends the watch."""
        asked = {"watch": "true", "resourceVersion": version, **query}
        async with self._session.get(path, params=asked) as answer:
            async for line in answer.content:
                yield orjson.loads(line)

    async def _send(self, method: str, path: str, body: Any = None, media: str = "") -> Json:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": media} if media else {}
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= _FAILED:
                said = orjson.loads(text).get("message", "") if text else ""
                raise Refused(f"{method} {path}: {answer.status} {said}")
            stored: Json = orjson.loads(text)
            return stored


async def each(
    items: Iterable[Item], work: Callable[[Item], Awaitable[object]], at_a_time: int = CONNECTIONS
) -> None:
    """Do something with all items, so many at a time."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(worker())


async def settled(
    client: Client, path: str, done: Callable[[Json], bool], *, seconds: float = 300
) -> None:
    """Watch a collection until every object that the caller waits for has come.

    Args:
        client: Whose connections to use.
        path: Of the collection.
        done: Told each object; returns True to end the watch.
        seconds: After which it is given up.

    Raises:
        TimeoutError: It did not come.
    """
    async with asyncio.timeout(seconds):
        found = await client.get(path)
        # All of them are to be seen, so no generator, which any() would leave early.
        if any(list(map(done, found["items"]))):
            return
        version = found["metadata"]["resourceVersion"]
        while True:
            async for event in client.watch(path, version):
                version = event["object"]["metadata"]["resourceVersion"]
                if done(event["object"]):
                    return
