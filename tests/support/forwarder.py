"""A TCP forwarder that follows the gateway's EndpointSlice, as kube-proxy would do in a cluster."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Self

from support.raw_api import Json, RawApi, RawApiError

SLICE = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/agentcorps-gateway"
LOOK_SECONDS = 0.2
MACHINE = "127.0.0.1"


class Forwarder:
    """Leads new connections to where the slice points; those that are open stay where they are.

    That is what conntrack does: a connection outlives the change of the Service's endpoint. An
    EndpointSlice takes no address of the loopback interface, so only its port counts here.
    """

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        """Prepare; ``with`` runs it."""
        self._api = RawApi(kubeconfig, timeout=3)
        self._path = SLICE.format(namespace)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._port: Future[int] = Future()
        self._thread = threading.Thread(target=self._main, name="forwarder", daemon=True)
        self.target: int | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        self.url = f"https://localhost:{self._port.result(30)}"
        return self

    def __exit__(self, *_: object) -> None:
        """End; what is open is broken off."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def fall_silent(self) -> None:
        """Pass nothing on from now on, and break nothing off: what lies behind is out of reach."""
        self._loop.call_soon_threadsafe(self._speaking.clear)

    def _main(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, MACHINE, 0)
        self._port.set_result(server.sockets[0].getsockname()[1])
        while not self._stop.is_set():
            with contextlib.suppress(RawApiError, OSError, ValueError):
                self.target = _port(await asyncio.to_thread(self._api.get, self._path))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Aborted transports close their sockets in the loop's next turns.
        await asyncio.sleep(0.1)

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            await self._speaking.wait()
            if self.target is None:
                back.transport.abort()
                return
            far, onward = await asyncio.open_connection(MACHINE, self.target)
        except (OSError, asyncio.CancelledError):
            back.transport.abort()
            return
        both = [
            asyncio.ensure_future(self._pump(near, onward)),
            asyncio.ensure_future(self._pump(far, back)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in both:
                pump.cancel()
            onward.transport.abort()
            back.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass on what comes, until either end is gone."""
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                await self._speaking.wait()
                sink.write(chunk)
                await sink.drain()


def _port(slice_: Json) -> int | None:
    ports = slice_.get("ports") or []
    return int(ports[0]["port"]) if slice_.get("endpoints") and ports else None
