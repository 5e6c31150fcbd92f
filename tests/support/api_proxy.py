"""A proxy in front of a real API server that refuses, falls silent, cuts, loses answers or lies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
from aiohttp import web

from agentcorps.adapters.credentials import Access, AccessSource

Fault = Callable[[web.Request], web.Response | None]
_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


class ApiProxy:
    """Passes requests on until told otherwise.

    Attributes:
        requests: Method and path with query of every request that came in.
        refusing: Connections are broken off without an answer.
        fault: Answers in the server's place where it returns a response.
        loses: Tells of which requests the answer is lost after the server did what they ask.
    """

    def __init__(self, source: AccessSource) -> None:
        """Prepare a proxy for the server of `source`, whose credentials it uses."""
        self._source = source
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._open: list[tuple[web.Request, web.StreamResponse]] = []
        self._client = aiohttp.ClientSession(auto_decompress=False)
        self.url = ""
        self.requests: list[tuple[str, str]] = []
        self.refusing = False
        self.fault: Fault | None = None
        self.loses: Callable[[web.Request], bool] = lambda _: False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ApiProxy"]:
        """Serve on a free local port."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self.cut()
            await runner.cleanup()
            await self._client.close()
            # Aborted transports close their sockets in the loop's next turn.
            await asyncio.sleep(0)

    def fall_silent(self) -> None:
        """Take requests and answer none; watches stay open and say nothing."""
        self._speaking.clear()

    def speak(self) -> None:
        """Go on where the silence began."""
        self._speaking.set()

    def cut(self) -> None:
        """Break off everything that is open."""
        for request, _ in list(self._open):
            _abort(request)

    async def inject(self, line: bytes) -> None:
        """Put a line into every open watch."""
        for request, response in list(self._open):
            if "watch" in request.query:
                await response.write(line + b"\n")

    @property
    def watches(self) -> int:
        """Number of watches that are open."""
        return sum("watch" in request.query for request, _ in self._open)

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests of a method had `part` in their path."""
        return sum(seen == method and part in path for seen, path in self.requests)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or whatever the proxy was told to do instead."""
        self.requests.append((request.method, request.path_qs))
        await self._speaking.wait()
        if self.refusing:
            _abort(request)
        answer = self.fault(request) if self.fault else None
        return answer or await self._forward(request)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Ask the real server, with its credentials."""
        access = self._source.access()
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        if access.authorization:
            headers["Authorization"] = access.authorization
        async with self._client.request(
            request.method,
            access.base_url + request.path_qs,
            data=await request.read() or None,
            headers=headers,
            ssl=access.tls,
        ) as upstream:
            if self.loses(request):
                await upstream.read()
                _abort(request)
            try:
                return await self._relay(request, upstream)
            finally:
                if upstream.connection is not None and upstream.connection.protocol is not None:
                    upstream.connection.protocol.abort()

    async def _relay(
        self, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """Pass an answer on as it arrives."""
        async with self.answering(request, upstream) as response:
            async for chunk in upstream.content.iter_any():
                await self._speaking.wait()
                await response.write(chunk)
            await self._speaking.wait()
            await response.write_eof()
        return response

    @asynccontextmanager
    async def answering(
        self, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> AsyncIterator[web.StreamResponse]:
        """Begin an answer like the server's; it ends early when the connection does."""
        headers = {
            name: text for name, text in upstream.headers.items() if name.lower() not in _HOP
        }
        response = web.StreamResponse(status=upstream.status, headers=headers)
        await response.prepare(request)
        opened = (request, response)
        self._open.append(opened)
        try:
            with suppress(ConnectionError):  # the client went away, or the connection was cut
                yield response
        finally:
            self._open.remove(opened)


class Proxied:
    """An `AccessSource` that leads to a proxy."""

    def __init__(self, proxy: ApiProxy, source: AccessSource) -> None:
        """Lead to `proxy` instead of the server of `source`."""
        self._proxy = proxy
        self._source = source

    def access(self) -> Access:
        """Return the proxy's address, without credentials."""
        return replace(self._source.access(), base_url=self._proxy.url, authorization=None)

    async def refresh(self, refused: Access) -> bool:
        """Return that there is nothing newer."""
        del refused
        return False


def _abort(request: web.Request) -> None:
    """Break off the connection that a request came by."""
    if request.transport is not None:
        request.transport.abort()
