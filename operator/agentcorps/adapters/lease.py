"""Leader election by a Lease, after the rules of client-go's elector, on the monotonic clock alone.

A holder stops believing in its Lease ``renew_deadline`` after the start of its last successful
renewal; the others wait ``duration`` after they last saw it change. Since the deadline is the
shorter time, no two processes lead at once, whatever their wall clocks say, unless one is stopped
between a check and a write; for that case every term has a number of its own, ``epoch``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from agentcorps.adapters.timestamps import micro_time
from agentcorps.ports import ClusterError, Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Clock, Object

_LONGEST_FOREIGN_DURATION = 60.0
_SECONDS_PER_TERM = 60
_LOG = structlog.get_logger()


class LeaseLostError(Exception):
    """Somebody else holds the Lease, or it could not be renewed in time."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """The times of an election, in seconds; each must be shorter than the one above it."""

    duration: float = 15.0
    """Without a change for so long, others may take the Lease."""
    renew_deadline: float = 10.0
    """Without a successful renewal for so long, the holder gives up."""
    retry_period: float = 2.0
    """Between attempts."""


DEFAULT_TIMES = LeaseTimes()


@dataclass(frozen=True, slots=True)
class _Observed:
    """The Lease as last seen, and since when it has stood like that."""

    body: Object
    duration: float
    since: float

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def holder(self) -> str:
        return self.body["spec"].get("holderIdentity") or ""

    @property
    def transitions(self) -> int:
        return int(self.body["spec"].get("leaseTransitions") or 0)


class LeaseElector:
    """Implements ``ports.Leadership``: acquire once, renew until lost or released."""

    def __init__(
        self,
        api: ApiConnection,
        *,
        namespace: str,
        identity: str,
        clock: Clock,
        name: str = "agentcorps-operator",
        times: LeaseTimes = DEFAULT_TIMES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is requested yet.

        Args:
            api: Connection to the API server.
            namespace: Namespace of the Lease.
            identity: Name of this process, unique among living ones. A Lease that bears it already
                is that of a dead predecessor (a container that restarted in its pod) and is taken
                over at once.
            clock: Deadlines run on its monotonic time; its wall time is only written for people.
            name: Name of the Lease.
            times: Duration, deadline and period.
            sleep: Waits for seconds.
        """
        self._api = api
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._metadata = {"name": name, "namespace": namespace}
        self._identity = identity
        self._clock = clock
        self._duration = times.duration
        self._renew_deadline = times.renew_deadline
        self._retry_period = times.retry_period
        self._sleep = sleep
        self._observed: _Observed | None = None
        self._renewed_at: float | None = None
        self._epoch = 0

    @property
    def leading(self) -> bool:
        """True while the last renewal is younger than the renew deadline."""
        return self._renewed_at is not None and self._remaining() > 0

    @property
    def epoch(self) -> int:
        """Number of this process's term (leaseTransitions); 0 before it ever led."""
        return self._epoch

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._attempt():
            await self._sleep(self._retry_period)
        _LOG.info("lease.acquired", identity=self._identity, epoch=self._epoch)

    async def run(self, on_lost: Callable[[], None]) -> None:
        """Renew until the Lease is lost, then call ``on_lost`` and return. Cancel it to release."""
        try:
            while True:
                await self._sleep(min(self._retry_period, max(0.0, self._remaining())))
                await self._renew()
        except LeaseLostError as error:
            self._renewed_at = None
            _LOG.error("lease.lost", identity=self._identity, epoch=self._epoch, error=str(error))
            on_lost()

    async def release(self) -> None:
        """Give the Lease up, so that another process need not wait; never raises for the server."""
        was_leading, self._renewed_at = self.leading, None
        if not was_leading:
            return
        try:
            await self._give_up()
        except (ClusterError, LeaseLostError) as error:
            _LOG.warning("lease.release_failed", error=str(error))
        else:
            _LOG.info("lease.released", identity=self._identity)

    async def _give_up(self) -> None:
        try:
            await self._put(holder="", seconds=self._retry_period)
        except Conflict:
            # A renewal that was cancelled on its way may have been written.
            await self._observe(self._retry_period)
            self._expect_own()
            await self._put(holder="", seconds=self._retry_period)

    async def _attempt(self) -> bool:
        """One attempt to become the leader."""
        try:
            await self._observe(self._renew_deadline)
        except NotFound:
            return await self._take(self._create)
        except ClusterError as error:
            _LOG.warning("lease.unreadable", error=str(error))
            return False
        return await self._take(self._take_over)

    async def _take(self, write: Callable[[], Awaitable[None]]) -> bool:
        if not self._free():
            return False
        started = self._clock.now().monotonic
        try:
            await write()
        except ClusterError as error:
            _LOG.info("lease.not_acquired", error=str(error))
            return False
        self._renewed_at = started
        return self.leading

    def _free(self) -> bool:
        """Whether nobody can believe to hold it; one that vanished is its holder's for a while."""
        observed = self._observed
        if observed is None or observed.holder in {"", self._identity}:
            return True
        return self._clock.now().monotonic - observed.since > observed.duration

    async def _create(self) -> None:
        # Agents ignore epochs lower than one they have seen, so a Lease that was deleted must not
        # start over: minutes of the server's clock exceed any number of terms before.
        minutes = int(self._clock.now().wall) // _SECONDS_PER_TERM
        known = self._observed.transitions if self._observed else 0
        self._epoch = max(minutes, known + 1)
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self._metadata,
            "spec": self._spec(self._identity, new_term=True),
        }
        self._remember(
            await self._api.request(
                "POST", self._collection, body=body, timeout=self._renew_deadline
            )
        )

    async def _take_over(self) -> None:
        self._epoch = self._known().transitions + 1
        await self._put(holder=self._identity, seconds=self._renew_deadline, new_term=True)

    async def _renew(self) -> None:
        """Renew once; failures are tried again until the deadline, a foreign holder ends it."""
        remaining = self._remaining()
        if remaining <= 0:
            raise LeaseLostError(f"not renewed within {self._renew_deadline:g} s")
        # Half of the deadline, so that a call that hangs leaves time for another.
        bound = min(remaining, self._renew_deadline / 2)
        started = self._clock.now().monotonic
        try:
            await self._put(holder=self._identity, seconds=bound)
        except NotFound as error:
            raise LeaseLostError("the Lease was deleted") from error
        except Conflict:
            await self._look_again()
        except ClusterError as error:
            _LOG.warning(
                "lease.not_renewed", error=str(error), remaining_seconds=round(remaining, 1)
            )
        else:
            self._renewed_at = started

    async def _look_again(self) -> None:
        """After a conflict: others' edits, or our own write whose answer was lost, are no loss."""
        try:
            await self._observe(max(0.1, min(self._remaining(), self._renew_deadline / 2)))
        except NotFound as error:
            raise LeaseLostError("the Lease was deleted") from error
        except ClusterError as error:
            _LOG.warning("lease.unreadable", error=str(error))
            return
        self._expect_own()

    def _expect_own(self) -> None:
        observed = self._known()
        if (observed.holder, observed.transitions) != (self._identity, self._epoch):
            raise LeaseLostError(f"{observed.holder or 'nobody'} holds the Lease now")

    def _remaining(self) -> float:
        """Seconds until this process stops believing that it leads."""
        if self._renewed_at is None:
            return 0.0
        return self._renewed_at + self._renew_deadline - self._clock.now().monotonic

    async def _observe(self, seconds: float) -> None:
        self._remember(await self._api.request("GET", self._path, timeout=seconds))

    async def _put(self, *, holder: str, seconds: float, new_term: bool = False) -> None:
        body = self._known().body
        spec = body["spec"] | self._spec(holder, new_term=new_term)
        self._remember(
            await self._api.request("PUT", self._path, body=body | {"spec": spec}, timeout=seconds)
        )

    def _known(self) -> _Observed:
        if self._observed is None:
            raise LeaseLostError("the Lease was never read")
        return self._observed

    def _spec(self, holder: str, *, new_term: bool) -> dict[str, Any]:
        now = micro_time(self._clock.now().wall)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "renewTime": now,
            "leaseTransitions": self._epoch,
        }
        return spec | {"acquireTime": now} if new_term else spec

    def _remember(self, lease: Object) -> None:
        """Note the Lease as it stands; its time starts again whenever anything about it changed."""
        spec = lease.get("spec") or {}
        declared = float(spec.get("leaseDurationSeconds") or 0)
        observed = _Observed(
            body=lease | {"spec": spec},
            duration=max(self._duration, min(declared, _LONGEST_FOREIGN_DURATION)),
            since=self._clock.now().monotonic,
        )
        if self._observed is None or self._observed.version != observed.version:
            self._observed = observed
