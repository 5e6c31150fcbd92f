"""What the fault proxy does to which requests, as data that a test can read."""

import asyncio
import random
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from aiohttp import web

Forward = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]
Lines = AsyncIterator[bytes]
WatchFault = Callable[[Lines], Lines]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOLD_SECONDS = 120
AFTER: "web.RequestKey[Callable[[], Awaitable[None]]]" = web.RequestKey("after")
"""On a request: what to do once the server has answered, in place of passing that on."""
REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


@dataclass
class Rule:
    """Does something to requests: which, how many of them, and what.

    Attributes:
        fault: What happens to a request.
        methods: Empty means all.
        path: Searched for in the path with its query.
        kind: Method and kind as `kind_of` has them; empty means all.
        first: The first request of each kind is hit in any case, whatever ``chance`` says.
        skip: So many matching requests pass first.
        times: So many are hit; None means all.
        chance: Probability of each further one to be hit.
        hits: How many were hit.
    """

    fault: Fault
    methods: Iterable[str] = ()
    path: str = ""
    kind: str = ""
    first: bool = False
    skip: int = 0
    times: int | None = None
    chance: float = 1.0
    seed: int = 1
    hits: int = 0
    kinds: set[str] = field(default_factory=set)
    """Of the requests that were hit."""
    _dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the dice of this rule, the same in every run."""
        self._dice = random.Random(self.seed)  # noqa: S311 -- repeatable faults, no secret

    def takes(self, request: web.Request) -> bool:
        """Whether this request is hit."""
        kind = kind_of(request.method, request.path_qs)
        if not self._fits(request, kind) or not self._chosen(kind):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        self.kinds.add(kind)
        return True

    def _fits(self, request: web.Request, kind: str) -> bool:
        methods = frozenset(self.methods)
        return (
            (not methods or request.method in methods)
            and (not self.kind or kind == self.kind)
            and re.search(self.path, request.path_qs) is not None
        )

    def _chosen(self, kind: str) -> bool:
        thrown = self._dice.random() <= self.chance
        return thrown or (self.first and kind not in self.kinds)


def kind_of(method: str, path: str) -> str:
    """Return method and kind of a request, such as ``PUT tasks/status`` or ``GET pods``."""
    words = path.partition("?")[0].split("/")
    whole_cluster = 4 if words[1] == "apis" else 3
    start = words.index("namespaces") + 2 if "namespaces" in words else whole_cluster
    parts = words[start:]
    return f"{method} " + "/".join([*parts[:1], *parts[2:]])


def answering(status: int, *, retry_after: int | None = None, message: str = "injected") -> Fault:
    """Answer in the server's place; the server never sees the request."""

    async def fault(_: web.Request, _forward: Forward) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        named = {"reason": REASONS.get(status, "Unknown"), "message": message}
        return web.json_response(body | named, status=status, headers=headers)

    return fault


def delaying(seconds: float) -> Fault:
    """Pass the request on later."""

    async def fault(_: web.Request, forward: Forward) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await forward()

    return fault


def dropping() -> Fault:
    """Break the connection off; the server never sees the request."""

    async def fault(request: web.Request, _forward: Forward) -> web.StreamResponse:
        await break_off(request)

    return fault


def losing_answer() -> Fault:
    """Let the server do it and break the connection off in place of an answer."""

    async def fault(request: web.Request, forward: Forward) -> web.StreamResponse:
        request[AFTER] = lambda: break_off(request)
        return await forward()

    return fault


class Held:
    """A request that waits: before the server saw it, or after it was done and before the answer.

    Once let go it is broken off: whoever sent it has died meanwhile.
    """

    def __init__(self, *, after: bool) -> None:
        """Choose the moment."""
        self._after = after
        self._reached = threading.Event()
        self._let_go = threading.Event()

    async def fault(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        """Hold one request."""
        if self._after:
            request[AFTER] = lambda: self._hold(request)
            return await forward()
        await self._hold(request)
        raise AssertionError("a request that was held is never passed on")

    def reached(self, seconds: float) -> bool:
        """Wait until a request is held; False if none came."""
        return self._reached.wait(seconds)

    def let_go(self) -> None:
        """Break the request off."""
        self._let_go.set()

    async def _hold(self, request: web.Request) -> None:
        self._reached.set()
        await asyncio.to_thread(self._let_go.wait, HOLD_SECONDS)
        await break_off(request)


async def break_off(request: web.Request) -> NoReturn:
    """Abort the connection of a request, and wait for the cancellation that this brings."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def duplicating(lines: Lines) -> Lines:
    """Every event of a watch twice."""
    async for line in lines:
        yield line
        yield line


async def swapping(lines: Lines) -> Lines:
    """Pairs of events in the wrong order; the last one of a pause is not kept waiting for long."""
    kept: bytes | None = None
    following = aiter(lines)
    pending: asyncio.Task[bytes] | None = None
    while True:
        pending = pending or asyncio.ensure_future(anext(following))
        done, _ = await asyncio.wait({pending}, timeout=0.2)
        if not done:
            if kept is not None:
                yield kept
            kept = None
            continue
        try:
            line = pending.result()
        except StopAsyncIteration:
            break
        finally:
            pending = None
        yield line
        if kept is not None:
            yield kept
        kept = line
    if kept is not None:
        yield kept


def late(seconds: float) -> WatchFault:
    """Every event of a watch so many seconds late, each delaying those behind it."""

    async def fault(lines: Lines) -> Lines:
        async for line in lines:
            await asyncio.sleep(seconds)
            yield line

    return fault


def failing_after(events: int, code: int) -> WatchFault:
    """After so many events an ERROR event, then the end."""

    async def fault(lines: Lines) -> Lines:
        left = events
        async for line in lines:
            yield line
            left -= 1
            if left <= 0:
                reason = REASONS.get(code, "Unknown")
                yield (
                    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure",'
                    b'"code":%d,"reason":"%s","message":"injected"}}' % (code, reason.encode())
                )
                return

    return fault


async def silent(lines: Lines) -> Lines:
    """A watch that stays open and says nothing."""
    async for _ in lines:
        pass
    await asyncio.Event().wait()
    yield b""
