"""The operator's process: start, lead, stop. ``python -m agentcorps.main``."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
import uvloop

from agentcorps.adapters.clock import ServerClock
from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.credentials import Credentials, CredentialsError
from agentcorps.adapters.files import raise_open_files
from agentcorps.adapters.logs import configure_logs
from agentcorps.adapters.metrics.meter import PrometheusMeter
from agentcorps.gateway.app import build_app
from agentcorps.gateway.probes import build_probes
from agentcorps.gateway.scrapes import build_scrapes
from agentcorps.gateway.server import serve
from agentcorps.ports import ClusterError
from agentcorps.settings import Settings, SettingsError
from agentcorps.wiring import Connections, build

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine

    from agentcorps.gateway.server import Listener
    from agentcorps.wiring import Operator

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)

ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a pod is reached from other pods and by the kubelet
RETRY_SECONDS: Final = 2.0
ENDPOINT_CHECK_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
LEASE_CONNECTIONS: Final = 2
"""Of its own: behind all writes of a busy leader the renewal would come too late."""
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class Process:
    """Runs one operator until it is asked to stop or can no longer lead."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._operator: Operator | None = None

    def end(self, code: int, why: str) -> None:
        """End the process soon; the first reason counts."""
        if not self._ending.done():
            log.info("stopping", why=why, exit_code=code)
            self._ending.set_result(code)

    async def run(self) -> int:
        """Run until the end; returns the exit code."""
        settings, clock, meter = self._settings, ServerClock(), PrometheusMeter()
        credentials = await Credentials.load(settings.kubeconfig, settings.context)
        probes = await serve(
            build_probes(self._stuck, self._behind), None, ANY_ADDRESS, settings.probe_port
        )
        try:
            async with (
                ApiConnection(credentials, clock, answered=meter.answered) as api,
                ApiConnection(
                    credentials, clock, limit=LEASE_CONNECTIONS, answered=meter.answered
                ) as lease_api,
            ):
                loop = asyncio.get_running_loop()
                connections = Connections(api, lease_api, credentials)
                operator = build(settings, connections, clock, meter, loop, self._kopf_ended)
                self._operator = operator
                return await self._operate(operator)
        finally:
            await probes.close()

    async def _operate(self, operator: Operator) -> int:
        listeners: list[Listener] = []
        self._spawn(self._lead(operator, listeners), "lead")
        try:
            return await self._ending
        finally:
            await self._stop(operator, listeners)

    async def _lead(self, operator: Operator, listeners: list[Listener]) -> None:
        """From nothing to a working leader."""
        for feed in operator.feeds:
            self._spawn(feed.run(), "feed")
        certificate = await self._insist(operator.certificates.ensure)
        operator.trust.ca_pem = certificate.ca_pem
        context = certificate.ssl_context()
        await self._serve(operator, context, listeners)
        operator.vitals.serves = True
        self._spawn(operator.certificates.keep(context), "certificates")
        self._spawn(operator.events.run(), "events")
        for feed in operator.feeds:
            await feed.synced.wait()
        log.info("waiting for the lease", identity=self._settings.identity)
        await operator.elector.acquire()
        await self._begin(operator)

    async def _serve(
        self, operator: Operator, context: ssl.SSLContext, listeners: list[Listener]
    ) -> None:
        """Let agents and scrapers in."""
        app = build_app(operator.use_cases.calls, operator.identities, operator.duty)
        listeners.append(await serve(app, context, ANY_ADDRESS, self._settings.gateway_port))
        if self._settings.metrics_port is not None:
            scrapes = build_scrapes(operator.scrapers, operator.metrics)
            port = self._settings.metrics_port
            listeners.append(await serve(scrapes, context, ANY_ADDRESS, port))

    async def _begin(self, operator: Operator) -> None:
        """The Lease is ours: learn how things stand, then decide."""
        self._spawn(
            operator.elector.run(lambda: self.end(EXIT_FAILED, "the lease is lost")), "lease"
        )
        for feed in operator.feeds:
            await self._insist(feed.refresh)
        await self._insist(operator.resync.start)
        _keep_for_good()
        operator.duty.begin()
        operator.kopf.start()
        for loop in operator.loops:
            self._spawn(loop.run(), loop.name)
        self._spawn(self._keep_endpoint(operator), "endpoint")
        operator.vitals.leads = True
        operator.use_cases.kicks.all()
        log.info("leading", identity=self._settings.identity, epoch=operator.elector.epoch)

    async def _keep_endpoint(self, operator: Operator) -> None:
        """Point the gateway's Service at this process, and mend it should anybody change that."""
        settings = self._settings
        while settings.pod_ip:
            await self._insist(
                lambda: operator.endpoint.publish(settings.pod_ip, settings.gateway_port)
            )
            await asyncio.sleep(ENDPOINT_CHECK_SECONDS)

    async def _stop(self, operator: Operator, listeners: list[Listener]) -> None:
        """Decide nothing more, finish what is written, let another lead, and stop kopf last."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await operator.use_cases.writes.drain()
        except TimeoutError:
            log.warning("writes were still in flight at the end")
        await operator.elector.release()
        for listener in listeners:
            await listener.close()
        if operator.vitals.leads:
            await asyncio.to_thread(operator.kopf.stop, STOP_SECONDS)

    async def _insist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask until the API server answers: a process without one waits, alive and not ready."""
        while True:
            try:
                return await ask()
            except ClusterError as error:
                log.warning("the API server does not do it yet", why=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a part of the operator failed", part=task.get_name(), exc_info=error)
            self.end(EXIT_FAILED, f"{task.get_name()} failed")

    def _kopf_ended(self, error: BaseException | None) -> None:
        if not self._ending.done():
            self.end(EXIT_FAILED, "kopf ended" if error is None else f"kopf failed: {error}")

    def _stuck(self) -> list[str]:
        return [] if self._operator is None else self._operator.vitals.stuck()

    def _behind(self) -> list[str]:
        return ["starting"] if self._operator is None else self._operator.vitals.behind()


def _keep_for_good() -> None:
    """Let the garbage collector never look again at what there is now.

    It would stop the process for some 50 ms each time, for modules and lists that stay anyway. What
    dies without a cycle, as records do, is freed all the same.
    """
    gc.collect()
    gc.freeze()


async def operate(settings: Settings) -> int:
    """Run an operator until SIGTERM or SIGINT; returns the exit code."""
    process = Process(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(process.end, EXIT_OK, f"received {number.name}"))
    return await process.run()


def main() -> int:
    """Read the settings and run; a setting that cannot be used is one line."""
    try:
        settings = Settings.from_environ()
        configure_logs(settings.log_level, settings.log_format)
        raise_open_files()
        _keep_for_good()
        return uvloop.run(operate(settings))
    except (SettingsError, CredentialsError) as error:
        print(f"agentcorps: {error}", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
