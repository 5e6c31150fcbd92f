"""The proxy between one operator process and the real API server, in a thread of its own."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from agentcorps.adapters.credentials import AccessSource, Credentials
from support.api_proxy import ApiProxy
from support.fault_rules import AFTER, WRITES, Rule, WatchFault, break_off, kind_of

START_SECONDS = 30


@dataclass(slots=True)
class Call:
    """One request that came in."""

    at: float
    method: str
    path: str
    """With the query."""
    agent: str
    """The client's own name for itself."""
    asked: bool = False
    """Whether it was passed on to the API server."""
    status: int = 0
    """What the API server answered, whoever heard it; 0 while or when it did not."""

    @property
    def is_write(self) -> bool:
        """Whether it may change something that is stored; reviews of tokens do not."""
        return self.method in WRITES and "reviews" not in self.path

    @property
    def is_done(self) -> bool:
        """Whether the API server did it."""
        return web.HTTPOk.status_code <= self.status < web.HTTPMultipleChoices.status_code

    @property
    def is_unknown(self) -> bool:
        """Whether the API server may have done it: it was asked, and died or is silent since."""
        return self.asked and not self.status

    @property
    def what(self) -> str:
        """Method and kind, such as ``PUT tasks/status``."""
        return kind_of(self.method, self.path)


CALL = web.RequestKey("call", Call)
"""On a request: its entry in the list of calls."""


class RuledProxy(ApiProxy):
    """An ``ApiProxy`` whose faults are rules, and which can change what watches say."""

    def __init__(self, source: AccessSource) -> None:
        """Pass everything on until told otherwise."""
        super().__init__(source)
        self.rules: list[Rule] = []
        self.calls: list[Call] = []
        self.watch_fault: WatchFault | None = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        call = request[CALL] = Call(time.monotonic(), request.method, request.path_qs, agent)
        self.calls.append(call)
        for rule in tuple(self.rules):
            if rule.takes(request):
                return await rule.fault(request, lambda: self._pass_on(request))
        return await self._pass_on(request)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        await self._speaking.wait()
        if self.refusing:
            await break_off(request)
        request[CALL].asked = True
        try:
            return await self._forward(request)
        except aiohttp.ClientError:
            # The server is not there; whoever asks must see just that, not an answer of ours.
            await break_off(request)

    async def _relay(
        self, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        request[CALL].status = upstream.status
        after = request.get(AFTER)
        if after is not None:
            await upstream.read()
            await after()
        if (
            "watch" in request.query
            and self.watch_fault
            and upstream.status == web.HTTPOk.status_code
        ):
            return await self._relay_watch(request, upstream, self.watch_fault)
        return await super()._relay(request, upstream)

    async def _relay_watch(
        self, request: web.Request, upstream: aiohttp.ClientResponse, fault: WatchFault
    ) -> web.StreamResponse:
        async with self.answering(request, upstream) as response:
            async for line in fault(_lines(upstream)):
                await self._speaking.wait()
                await response.write(line + b"\n")
            await response.write_eof()
        return response


class FaultProxy:
    """Runs a ``RuledProxy`` for a kubeconfig, and has a kubeconfig that leads to it."""

    def __init__(self, kubeconfig: Path, folder: Path, name: str = "proxy") -> None:
        """Prepare; ``with`` runs it."""
        self._given = kubeconfig
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready: Future[RuledProxy] = Future()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self.kubeconfig = folder / f"{name}.kubeconfig"
        self.proxy: RuledProxy

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        self.proxy = self._ready.result(START_SECONDS)
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.proxy.url)))
        return self

    def __exit__(self, *_: object) -> None:
        """Break off what is open and end."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    @contextmanager
    def injecting(self, *rules: Rule) -> Iterator[None]:
        """Keep rules for a while."""
        self.proxy.rules.extend(rules)
        try:
            yield
        finally:
            for rule in rules:
                self.proxy.rules.remove(rule)

    @contextmanager
    def watching(self, fault: WatchFault, *, cut: bool = True) -> Iterator[None]:
        """Change what watches say; those that are open are cut first, unless told otherwise."""
        self.proxy.watch_fault = fault
        if cut:
            self.cut_watches()
        try:
            yield
        finally:
            self.proxy.watch_fault = None
            self.cut_watches()

    @contextmanager
    def down(self) -> Iterator[None]:
        """No API server for a while: everything open is broken off, nothing new is let in."""
        self.proxy.refusing = True
        self._loop.call_soon_threadsafe(self.proxy.cut)
        try:
            yield
        finally:
            self.proxy.refusing = False

    @contextmanager
    def mute(self) -> Iterator[None]:
        """Take requests and answer none for a while."""
        self._loop.call_soon_threadsafe(self.proxy.fall_silent)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self.proxy.speak)

    def cut_watches(self) -> None:
        """Break off everything that is open."""
        self._loop.call_soon_threadsafe(self.proxy.cut)

    @property
    def calls(self) -> list[Call]:
        """All requests so far."""
        return list(self.proxy.calls)

    def writes(self, since: int = 0) -> list[Call]:
        """Writes after the first ``since`` requests, renewals of the Lease left out."""
        return [call for call in self.calls[since:] if call.is_write and call.what != "PUT leases"]

    def _main(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        try:
            proxy = RuledProxy(await Credentials.load(str(self._given), None))
            async with proxy.serving():
                self._ready.set_result(proxy)
                await self._stop.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise


async def _lines(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in upstream.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def _kubeconfig(url: str) -> dict[str, object]:
    """A kubeconfig without credentials: the proxy has them."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxied", "cluster": {"server": url}}],
        "users": [{"name": "proxied", "user": {}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
        "current-context": "proxied",
    }
