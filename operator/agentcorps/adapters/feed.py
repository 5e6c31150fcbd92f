"""Our own informer: a consistent list, then a watch, for one kind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson
import structlog

from agentcorps.adapters.backoff import Backoff, spread
from agentcorps.adapters.listing import PAGE_SIZE, Listing, collection_path
from agentcorps.adapters.problems import GONE
from agentcorps.core.wire import Malformed
from agentcorps.ports import ClusterError, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Kind, Object

R = TypeVar("R")

_READY_SECONDS = 120.0
_RELIST_AFTER = 3
_SHORT_SECONDS = 1.0
_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
_LOG = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects of a kind a feed follows."""

    namespace: str | None = None
    """Where; None means everywhere."""
    label_selector: str = ""
    """Empty means all."""
    page_size: int = PAGE_SIZE
    """Objects per page of a list: what is in memory whole."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a feed, in seconds, and the clock that they run on."""

    watch_seconds: int = 55
    """How long the server holds a watch open."""
    silence_seconds: int = 15
    """How long after that the client waits for the end."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[float], float] = spread
    """Spreads waiting times."""


EVERYTHING = Scope()
REAL_TIME = Timing()


@dataclass(frozen=True, slots=True)
class Readers(Generic[R]):
    """Who reads what a feed brings."""

    decode: Callable[[Object], R]
    """Makes a record of an object; what it raises on is logged by name and left out."""
    on_replace: Callable[[list[R], int], None]
    """Takes the whole list and its resourceVersion: what it lacks is gone, unless it came later
    than the list."""
    on_event: Callable[[str, R], None]
    """Takes ``ADDED``, ``MODIFIED`` or ``DELETED`` and the record."""
    on_unreadable: Callable[[str, Object, str], None]
    """Takes such an event, or ``LISTED``, the object that was left out, and why (no word of what
    stands in it)."""


class Feed(Generic[R]):
    """Keeps somebody's picture of a kind current; only ``decode`` ever sees whole objects.

    The server ends every watch after ``watch_seconds`` and the client gives up 15 s later, so a
    connection that died without a word is noticed within 70 s; a list then tells what was missed,
    for the next watch may be as silent. An object that cannot be decoded is logged and left out; an
    exception of a callback is logged and the feed goes on.
    """

    def __init__(
        self,
        api: ApiConnection,
        kind: Kind,
        readers: Readers[R],
        *,
        scope: Scope = EVERYTHING,
        timing: Timing = REAL_TIME,
    ) -> None:
        """Prepare a feed; ``run`` starts it.

        Args:
            api: Connection to the API server.
            kind: What to watch.
            readers: Take what it brings.
            scope: Which objects of the kind.
            timing: Clocks and times.
        """
        self._api = api
        self.kind = kind
        self._what = collection_path(kind, scope.namespace)
        self._listing = Listing(
            api,
            kind,
            scope.namespace,
            label_selector=scope.label_selector,
            page_size=scope.page_size,
        )
        self._readers = readers
        self._params = _watch_params(scope, timing)
        self._patience = timing.watch_seconds + timing.silence_seconds
        self._backoff = Backoff(jitter=timing.jitter)
        self._monotonic = timing.monotonic
        self._sleep = timing.sleep
        self._version: str | None = None
        self._interruptible: asyncio.Timeout | None = None
        self._wanted = 0
        self._taken = 0
        self._listed = asyncio.Condition()
        self._failures = 0
        self._progress_at = self._success_at = timing.monotonic()
        self.synced = asyncio.Event()

    def age(self) -> float:
        """Seconds since the feed last did anything, be it failing; a large age means: stuck."""
        return self._monotonic() - self._progress_at

    def unconfirmed(self) -> float:
        """Seconds since the API server last confirmed the picture."""
        return self._monotonic() - self._success_at

    def ready(self) -> bool:
        """Whether the picture is complete and was confirmed in the last two minutes."""
        return self.synced.is_set() and self.unconfirmed() < _READY_SECONDS

    async def run(self) -> None:
        """Feed until cancelled."""
        while True:
            try:
                while self._version is None:
                    await self._relist()
                await self._watch()
            except Refused as error:
                await self._failed(error, gone=error.status == GONE)
            except ClusterError as error:
                await self._failed(error, gone=isinstance(error.__cause__, TimeoutError))
            except Exception as error:  # noqa: BLE001 - nothing may stop the feed for good
                _LOG.exception("feed.error", feed=self._what)
                await self._failed(error)

    async def refresh(self) -> None:
        """Wait until a consistent list that began after this call was taken in.

        The watch is ended for it and begins anew after it: news of a watch that overtook the list
        would be undone by it, and a deleted object would come back for good.
        """
        self._wanted += 1
        mine = self._wanted
        self._version = None
        if self._interruptible is not None:
            self._interruptible.reschedule(asyncio.get_running_loop().time())
        async with self._listed:
            await self._listed.wait_for(lambda: self._taken >= mine)

    async def _relist(self) -> None:
        wanted = self._wanted
        records, version = await self._listing.read(self._record)
        self._readers.on_replace(records, version)
        self._version = str(version) if wanted == self._wanted else None
        self._taken = wanted
        async with self._listed:
            self._listed.notify_all()
        self._succeeded()
        self.synced.set()
        _LOG.info("feed.listed", feed=self._what, objects=len(records))

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(None) as self._interruptible:
                await self._watch_on()
        except TimeoutError:
            _LOG.debug("feed.refresh", feed=self._what)
        finally:
            self._interruptible = None

    async def _watch_on(self) -> None:
        params = self._params | {"resourceVersion": str(self._version)}
        async with self._api.stream(self._what, params=params, timeout=self._patience) as lines:
            # The server accepted our position; failures are forgotten only once news arrive.
            self._confirmed()
            opened = self._success_at
            events = await self._follow(lines)
        if not events and self._monotonic() - opened < _SHORT_SECONDS:
            raise Unavailable(f"WATCH {self._what}: closed as soon as it was opened")
        self._succeeded()

    async def _follow(self, lines: AsyncIterator[bytes]) -> int:
        events = 0
        async for line in lines:
            events += 1
            event = _parse(line)
            if event is None:
                _LOG.warning("feed.bad_line", feed=self._what, bytes=len(line))
                continue
            kind, body = event
            if kind == "ERROR":
                raise _watch_error(self._what, body)
            self._take(kind, body)
        return events

    def _take(self, kind: str, body: Object) -> None:
        if kind in _CHANGES:
            record = self._record(body, kind)
            if record is not None:
                self._tell(body, lambda: self._readers.on_event(kind, record))
        version = body.get("metadata", {}).get("resourceVersion")
        if version and self._taken == self._wanted:
            self._version = version
        self._succeeded()

    def _tell(self, body: Object, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - the fault of one event must not cost the others
            _LOG.exception("feed.callback_error", feed=self._what, object=_name(body))

    def _record(self, body: Object, event: str = "LISTED") -> R | None:
        try:
            return self._readers.decode(body)
        except Exception as error:  # noqa: BLE001 - one bad object must not hide the others
            known = isinstance(error, Malformed)
            why = str(error) if known else f"it cannot be read ({type(error).__name__})"
            _LOG.warning("feed.bad_object", feed=self._what, object=_name(body), error=why)
            self._tell(body, lambda: self._readers.on_unreadable(event, body, why))
            return None

    def _progressed(self) -> None:
        self._progress_at = self._monotonic()

    def _confirmed(self) -> None:
        self._progressed()
        self._success_at = self._progress_at

    def _succeeded(self) -> None:
        self._confirmed()
        self._failures = 0
        self._backoff.reset()

    async def _failed(self, error: Exception, *, gone: bool = False) -> None:
        """Wait before the next attempt; after several the position is in doubt: list anew."""
        self._progressed()
        self._failures += 1
        if gone or self._failures >= _RELIST_AFTER:
            self._version = None
        at_least = error.retry_after if isinstance(error, Unavailable) else None
        delay = self._backoff.delay(at_least or 0.0)
        _LOG.warning(
            "feed.failed", feed=self._what, error=str(error), retry_seconds=round(delay, 2)
        )
        await self._sleep(delay)


def _watch_params(scope: Scope, timing: Timing) -> dict[str, str]:
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(timing.watch_seconds),
    }
    return params | ({"labelSelector": scope.label_selector} if scope.label_selector else {})


def _parse(line: bytes) -> tuple[str, Object] | None:
    try:
        event: Any = orjson.loads(line)
        kind, body = event["type"], event["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return (kind, body) if isinstance(kind, str) and isinstance(body, dict) else None


def _watch_error(what: str, status: Object) -> ClusterError:
    """The error that a watch reports in its stream, after an answer of 200."""
    code = status.get("code")
    reason = str(status.get("reason") or "Error")
    if code == GONE:
        return Refused(GONE, reason, "the position is too old")
    return Unavailable(f"WATCH {what}: {code} {reason}")


def _name(body: Object) -> str:
    metadata = body.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
