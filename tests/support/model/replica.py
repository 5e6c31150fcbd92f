"""One process of the operator: its feeds, its term, and the steps of its loops."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentcorps.control.duty import DutifulCluster, Duty
from agentcorps.core import wire
from agentcorps.ports import Kind, Object
from support.control_room import ControlRoom
from support.model.cluster import Link

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from support.model.cluster import ModelCluster
    from support.model.network import Network
    from support.model.quiet_loop import QuietLoop

LEASE_SECONDS = 15.0
RENEW_SECONDS = 10.0
FEEDS = (Kind.POOL, Kind.AGENT, Kind.POD, Kind.TASK)


@dataclass(slots=True)
class Lease:
    """The Lease object, as its holder keeps it."""

    holder: Replica | None = None
    renewed: float = 0.0
    epoch: int = 0


@dataclass(slots=True)
class Term:
    """What one process believes about the Lease (``ports.Leadership``)."""

    loop: QuietLoop
    renewed: float | None = None
    epoch: int = 0

    @property
    def leading(self) -> bool:
        """While the last renewal is younger than the renew deadline."""
        return self.renewed is not None and self.loop.time() - self.renewed < RENEW_SECONDS


Event = tuple[str, list[Object], int]
"""ADDED, MODIFIED or DELETED with one object, or LISTED with all of them; and the version."""


class Replica:
    """A process of the operator; a new one starts with empty hands."""

    def __init__(self, cluster: ModelCluster, network: Network, loop: QuietLoop) -> None:
        self._cluster = cluster
        self._network = network
        self._loop = loop
        self.term = Term(loop)
        self.duty = Duty(self.term)
        self.link = Link(cluster, network, self)
        self.room = ControlRoom(
            cluster,
            clock=loop.clock,
            link=DutifulCluster(self.link, self.duty),
            leadership=self.duty,
        )
        self.paused = False
        self.dead = False
        self.cut_off = False
        """Its renewals do not reach the API server."""
        self.feeds: dict[Kind, deque[Event]] = {kind: deque() for kind in FEEDS}
        self._steps: dict[str, asyncio.Task[float | None]] = {}
        self._on_resume: list[Callable[[], object]] = []
        cluster.watchers.append(self._watch)
        for kind in (Kind.POD, Kind.TASK):
            self.relist(kind)
            self.observe(kind, 1)

    @property
    def runs(self) -> bool:
        """Whether its code runs."""
        return not (self.paused or self.dead)

    @property
    def led(self) -> bool:
        """Whether it took the Lease once; it then leads, or ends."""
        return self.term.renewed is not None

    # The watch

    def _watch(self, event: str, kind: Kind, obj: Object) -> None:
        self.feeds[kind].append((event, [obj], int(obj["metadata"]["resourceVersion"])))

    def relist(self, kind: Kind) -> None:
        """The watch was cut: a list takes the place of the events that were missed."""
        listed = [body for (one, _), body in self._cluster.objects.items() if one is kind]
        self.feeds[kind].clear()
        self.feeds[kind].append(("LISTED", listed, self._cluster.version))

    def observe(self, kind: Kind, most: int) -> None:
        """Take in some events."""
        feed = self.feeds[kind]
        for _ in range(min(most, len(feed))):
            event, objects, version = feed.popleft()
            if event == "LISTED":
                self._listed(kind, objects, version)
            else:
                self._event(kind, event, objects[0])

    def _event(self, kind: Kind, event: str, obj: Object) -> None:
        observer = self.room.observer
        match kind:
            case Kind.TASK:
                observer.task_event(event, wire.task_record(obj))
            case Kind.POD:
                observer.pod_event(event, wire.pod_record(obj))
            case Kind.AGENT:
                observer.agent_event(event, obj)
            case Kind.POOL:
                observer.pool_event(event, obj)
            case Kind.SECRET | Kind.CONFIG_MAP:
                raise AssertionError("nobody watches these")
            case Kind.QUOTA:
                observer.quota_event(event, obj)

    def _listed(self, kind: Kind, objects: list[Object], version: int) -> None:
        observer = self.room.observer
        match kind:
            case Kind.TASK:
                observer.tasks_listed([*map(wire.task_record, objects)], version, None)
            case Kind.POD:
                observer.pods_listed([*map(wire.pod_record, objects)], version, None)
            case Kind.AGENT:
                observer.agents_listed(objects)
            case Kind.POOL:
                observer.pools_listed(objects)
            case Kind.SECRET | Kind.CONFIG_MAP:
                raise AssertionError("nobody lists these")
            case Kind.QUOTA:
                observer.quotas_listed(objects)

    # Its life

    def take(self, lease: Lease) -> None:
        """Take the Lease; what it has to know first comes with ``catch_up``."""
        lease.holder, lease.renewed = self, self._loop.time()
        lease.epoch += 1
        self.term.renewed, self.term.epoch = lease.renewed, lease.epoch

    def catch_up(self) -> None:
        """List everything, then serve."""
        for kind in FEEDS:
            self.relist(kind)
            self.observe(kind, 1)
        self.duty.begin()

    def renew(self, lease: Lease) -> None:
        """Renew the Lease if it is still its own."""
        if self.runs and lease.holder is self and not self.cut_off:
            lease.renewed = self.term.renewed = self._loop.time()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: it goes on where it was, and learns which connections are closed."""
        self.paused = False
        for call in self._on_resume:
            call()
        self._on_resume.clear()

    def when_running(self, call: Callable[[], object]) -> None:
        """Do something now, or when the process goes on."""
        if self.paused:
            self._on_resume.append(call)
        else:
            call()

    def kill(self) -> None:
        """SIGKILL."""
        self.dead = True
        self._cluster.watchers.remove(self._watch)
        self._network.cut(self)

    # Its loops

    def step(self, name: str) -> None:
        """Run one step of a loop, unless the last one still runs."""
        known = self._steps.get(name)
        if self.duty_began and (known is None or known.done()):
            self._steps[name] = self._loop.begin(self._step(name))

    @property
    def duty_began(self) -> bool:
        """Whether its loops were started; they run until the process ends."""
        return self.led and self.duty._caught_up

    def _step(self, name: str) -> Coroutine[None, None, float | None]:
        room = self.room
        match name:
            case "assign":
                return room.assign.step()
            case "recover":
                return room.recover.step()
            case "create":
                return room.create.step()
            case _:
                return room.monitor.step()
