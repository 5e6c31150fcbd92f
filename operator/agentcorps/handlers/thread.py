"""Runs kopf in a thread and event loop of its own.

Embedded in a shared loop, kopf cancels other tasks when it stops and replaces the SIGTERM handler.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import kopf
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = structlog.get_logger(__name__)

WATCH_SECONDS = 60
CONNECT_SECONDS = 10
MAX_CONNECTIONS = 50


class KopfThread:
    """kopf's operator with the given handlers, started once and stopped by a flag."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        login: Callable[[], kopf.ConnectionInfo],
        namespaces: Sequence[str],
        identity: str,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        """Prepare the thread.

        Args:
            registry: The handlers; an activity handler for the login is added to it.
            login: Gives credentials for the API server; called again when they are refused.
            namespaces: What to watch; empty means all.
            identity: Name of this process; kopf would look up a user name, and a pod has none.
            on_end: Told, in kopf's thread, that kopf ended, and by which error, if any.
        """
        self._registry = registry
        self._namespaces = tuple(namespaces)
        self._identity = identity
        self._on_end = on_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="kopf", daemon=True)
        _add_login(registry, login)

    @property
    def alive(self) -> bool:
        """Whether kopf runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start kopf."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Ask kopf to end and wait for it, at most ``timeout`` seconds. Blocks."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except Exception as failure:
            log.exception("kopf ended with an error")
            error = failure
        self._on_end(error)

    async def _operate(self) -> None:
        await kopf.operator(
            registry=self._registry,
            settings=_settings(),
            standalone=True,
            identity=self._identity,  # type: ignore[arg-type] # kopf exports no name for this NewType of str
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # Events are written by our own sink, not one per log line
    settings.scanning.disabled = (
        True  # the kinds are known; no rights on CRDs and namespaces are needed
    )
    settings.watching.server_timeout = (
        WATCH_SECONDS  # a watch that went blind ends and is opened anew
    )
    settings.watching.client_timeout = WATCH_SECONDS + 15
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = 30
    settings.process.ultimate_exiting_timeout = None  # the process is ours to end
    return settings


def _add_login(registry: kopf.OperatorRegistry, login: Callable[[], kopf.ConnectionInfo]) -> None:
    @kopf.on.login(registry=registry, id="login")
    async def log_in(**_: object) -> kopf.ConnectionInfo:
        return login()
