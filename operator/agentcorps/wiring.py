"""The one place where objects are built and handed to each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import kopf

from agentcorps.adapters.certificate import CertificateStore
from agentcorps.adapters.endpoint import GatewayEndpoint
from agentcorps.adapters.events import KubeEvents
from agentcorps.adapters.external_metrics import KubeExternalMetrics
from agentcorps.adapters.feed import Feed, Readers, Scope
from agentcorps.adapters.identities import TokenReviews
from agentcorps.adapters.kube import KubeCluster
from agentcorps.adapters.lease import LeaseElector, LeaseTimes
from agentcorps.adapters.metrics.exposition import MetricsPage
from agentcorps.adapters.prometheus import PrometheusClient
from agentcorps.adapters.scrapers import ScraperReviews
from agentcorps.api.meta import LABEL_AGENT
from agentcorps.api.names import DEFAULT_AGING_SECONDS
from agentcorps.control.agent_reports import AgentReports
from agentcorps.control.agent_sessions import AgentSessions
from agentcorps.control.apply import TaskApplier
from agentcorps.control.assign_tasks import AssignTasks
from agentcorps.control.autoscale_pools import AutoscalePools
from agentcorps.control.basis import Basis
from agentcorps.control.create_agents import CreateAgents
from agentcorps.control.deliveries import Deliveries
from agentcorps.control.duty import DutifulCluster, Duty
from agentcorps.control.fleet_writes import FleetApplier
from agentcorps.control.gatekeeper import Gatekeeper
from agentcorps.control.goodbyes import Goodbyes
from agentcorps.control.kicks import Kicks
from agentcorps.control.loop import Loop, soonest
from agentcorps.control.losses import Losses
from agentcorps.control.metric_reader import MetricReader
from agentcorps.control.monitor_agents import MonitorAgents
from agentcorps.control.observe import Observer
from agentcorps.control.payloads import Payloads
from agentcorps.control.progress import FLUSH_SECONDS, ProgressBook
from agentcorps.control.recover_tasks import RecoverTasks
from agentcorps.control.remembered import Remembered
from agentcorps.control.resource_pool import ResourcePool
from agentcorps.control.resync import INTERVAL_SECONDS, Resync
from agentcorps.control.retain_tasks import INTERVAL_SECONDS as RETENTION_SECONDS
from agentcorps.control.retain_tasks import RetainTasks
from agentcorps.control.sample_metrics import SampleMetrics
from agentcorps.control.scale_agents import ScaleAgents
from agentcorps.control.task_writes import TaskWrites
from agentcorps.control.unreadable import INTERVAL_SECONDS as UNREADABLE_SECONDS
from agentcorps.control.unreadable import Unreadable
from agentcorps.control.vitals import Vitals
from agentcorps.core import wire
from agentcorps.core.payloads import Access
from agentcorps.core.podspec import GatewayAddress
from agentcorps.core.quota.rules import SharingRules
from agentcorps.core.state import State
from agentcorps.gateway.calls import AgentCalls
from agentcorps.handlers.fleet import register
from agentcorps.handlers.thread import KopfThread
from agentcorps.ports import UNMETERED, Kind

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

    from agentcorps.adapters.clock import ServerClock
    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.adapters.credentials import Credentials
    from agentcorps.adapters.metrics.meter import PrometheusMeter
    from agentcorps.core.actions import Requeue
    from agentcorps.core.records import PodRecord, TaskRecord
    from agentcorps.ports import Clock, Cluster, EventSink, Leadership, Meter
    from agentcorps.settings import Settings

    Step = Callable[[], Awaitable[float | None]]

BACKSTOP_SECONDS = 2.0
SLOW_BACKSTOP_SECONDS = 10.0
"""For steps over all agents: they say themselves when time alone makes something due."""
FLEET_REST_SECONDS = 0.05
STATUS_REST_SECONDS = 0.5
AUTOSCALE_REST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Operator:
    """All parts that ``main`` starts and stops."""

    feeds: tuple[Feed[TaskRecord] | Feed[PodRecord], ...]
    elector: LeaseElector
    duty: Duty
    certificates: CertificateStore
    endpoint: GatewayEndpoint
    events: KubeEvents
    use_cases: UseCases
    identities: TokenReviews
    resync: Resync
    loops: tuple[Loop, ...]
    kopf: KopfThread
    vitals: Vitals
    trust: Trust
    metrics: MetricsPage
    scrapers: ScraperReviews


@dataclass(frozen=True, slots=True)
class Connections:
    """Open connections to the API server."""

    api: ApiConnection
    lease: ApiConnection
    """Of the Lease alone, so that it waits for nobody."""
    credentials: Credentials
    """What they use; kopf logs in with the same."""


@dataclass(frozen=True, slots=True)
class World:
    """The ports that the use cases work through."""

    cluster: Cluster
    clock: Clock
    leadership: Leadership
    events: EventSink
    meter: Meter = UNMETERED


@dataclass(frozen=True, slots=True)
class UseCases:
    """All of ``control``, around one state."""

    state: State
    kicks: Kicks
    remembered: Remembered
    writes: TaskWrites
    deliveries: Deliveries
    observer: Observer
    progress: ProgressBook
    calls: AgentCalls
    tasks: TaskApplier
    fleet: FleetApplier


@dataclass(slots=True)
class Trust:
    """The gateway's certificate authority, known once the certificate is."""

    url: str
    ca_pem: str = ""

    def address(self) -> GatewayAddress:
        """What new pods are told."""
        return GatewayAddress(self.url, self.ca_pem)


def build(
    settings: Settings,
    connections: Connections,
    clock: ServerClock,
    meter: PrometheusMeter,
    loop: AbstractEventLoop,
    kopf_ended: Callable[[BaseException | None], None],
) -> Operator:
    """Build an operator. Nothing runs yet, and nothing has been requested.

    Args:
        settings: What differs between installations.
        connections: How the API server is reached.
        clock: Both clocks.
        meter: Takes note of what happens.
        loop: Where everything but kopf runs.
        kopf_ended: Told, in ``loop``, that kopf ended.
    """
    api = connections.api
    kube = KubeCluster(api)
    events = KubeEvents(api, instance=settings.identity, clock=clock)
    identities = TokenReviews(api, clock=clock)
    elector = _elector(settings, connections.lease, clock)
    duty = Duty(elector)
    trust = Trust(settings.gateway_url)
    world = World(DutifulCluster(kube, duty), clock, duty, events, meter)
    aging, access = settings.aging_seconds, Access(settings.secrets)
    rooms = use_cases(world, trust.address, identities.forget, aging_seconds=aging, access=access)
    resync = Resync(rooms.state, rooms.observer, kube, kube, settings.watch_namespaces)
    feeds = _feeds(settings, api, rooms.observer)
    rules = SharingRules(settings.min_runtime_seconds, settings.unschedulable_seconds)
    reader = _metrics(settings, api, world.cluster)
    loops = _loops(world, rooms, resync, reader, rules, meter)
    kopf_thread = _kopf(settings, connections.credentials, resync, loop, kopf_ended)
    return Operator(
        feeds=feeds,
        elector=elector,
        duty=duty,
        certificates=CertificateStore(api, namespace=settings.namespace, clock=clock),
        endpoint=GatewayEndpoint(api, namespace=settings.namespace),
        events=events,
        use_cases=rooms,
        identities=identities,
        resync=resync,
        loops=loops,
        kopf=kopf_thread,
        vitals=Vitals(feeds, loops, resync, lambda: kopf_thread.alive),
        trust=trust,
        metrics=MetricsPage(meter, rooms.state, rooms.remembered, duty, feeds),
        scrapers=ScraperReviews(api, clock=clock),
    )


def use_cases(
    world: World,
    gateway: Callable[[], GatewayAddress],
    pod_gone: Callable[[str], None],
    *,
    aging_seconds: float = DEFAULT_AGING_SECONDS,
    access: Access = Access.ANY,
) -> UseCases:
    """Build everything of ``control`` around a new, empty state.

    Args:
        world: The ports.
        gateway: Tells new pods where to call.
        pod_gone: Told the UID of each pod that is gone.
        aging_seconds: Time of waiting that is worth one step of a Task's priority.
        access: What may be done with Secrets on behalf of Tasks.
    """

    def give_back(action: Requeue) -> None:
        tasks.start(action)

    state, kicks, remembered = State(aging_seconds), Kicks(), Remembered()
    clock, events, meter = world.clock, world.events, world.meter
    losses = Losses(state, world.leadership, meter)
    unreadable = Unreadable(state, events, world.leadership)
    payloads = Payloads(state, world.cluster, clock, unreadable, access)
    writes = TaskWrites(state, world.cluster, clock, payloads, unreadable, kicks.all, meter=meter)
    deliveries = Deliveries(state, world.cluster, clock, payloads, unreadable, give_back)
    tasks = TaskApplier(state, writes, deliveries, events, clock, remembered)
    gatekeeper = Gatekeeper(state, world.cluster, world.leadership)
    progress = ProgressBook(writes)
    sessions = AgentSessions(state, gatekeeper, deliveries, writes, remembered, clock, kicks)
    goodbyes = Goodbyes(state, gatekeeper, writes, events, clock, kicks.all)
    reports = AgentReports(state, gatekeeper, writes, progress, remembered, events, clock)
    return UseCases(
        state=state,
        kicks=kicks,
        remembered=remembered,
        writes=writes,
        deliveries=deliveries,
        observer=Observer(state, deliveries, clock, kicks, unreadable, pod_gone, losses),
        progress=progress,
        calls=AgentCalls(sessions, reports, goodbyes),
        tasks=tasks,
        fleet=FleetApplier(state, world.cluster, events, remembered, clock, gateway, losses),
    )


def _metrics(settings: Settings, api: ApiConnection, cluster: Cluster) -> MetricReader:
    prometheus = PrometheusClient(settings.prometheus_servers)
    access = Access(settings.secrets)
    return MetricReader(cluster, prometheus, KubeExternalMetrics(api), access)


def _loops(
    world: World,
    rooms: UseCases,
    resync: Resync,
    reader: MetricReader,
    rules: SharingRules,
    meter: PrometheusMeter,
) -> tuple[Loop, ...]:
    """Build the loops, and let them hear each other's kicks."""
    state, clock, kicks = rooms.state, world.clock, rooms.kicks
    basis = Basis(state, rooms.remembered, clock)
    turn = partial(
        _in_turn,
        RecoverTasks(basis, rooms.tasks),
        ScaleAgents(basis, rooms.fleet, ResourcePool(basis, kicks.statuses, rules)),
        CreateAgents(basis, rooms.fleet),
    )
    assigner = AssignTasks(state, rooms.tasks, clock)
    monitor = MonitorAgents(basis, rooms.fleet)
    autoscaler = AutoscalePools(basis, world.events, kicks, world.meter)
    sampler = SampleMetrics(state, reader, world.leadership, clock, kicks)
    retainer = RetainTasks(state, rooms.tasks, clock)

    def loop(name: str, step: Step, tick: float, rest: float = 0.0) -> Loop:
        return Loop(name, step, tick=tick, rest=rest, ran=meter.loop(name))

    slow = SLOW_BACKSTOP_SECONDS
    assign = loop("assign_tasks", assigner.step, BACKSTOP_SECONDS)
    fleet = loop("fleet", turn, slow, FLEET_REST_SECONDS)
    statuses = loop("monitor_agents", monitor.step, slow, STATUS_REST_SECONDS)
    autoscale = loop("autoscale_pools", autoscaler.step, slow, AUTOSCALE_REST_SECONDS)
    metrics = loop("sample_metrics", sampler.step, slow, AUTOSCALE_REST_SECONDS)
    kicks.connect(
        assign=assign, fleet=fleet, statuses=statuses, autoscale=autoscale, metrics=metrics
    )
    return (
        assign,
        autoscale,
        fleet,
        statuses,
        metrics,
        loop("progress", rooms.progress.flush, FLUSH_SECONDS),
        loop("retention", retainer.step, RETENTION_SECONDS),
        loop("resync", resync.step, INTERVAL_SECONDS),
        loop("unreadable", rooms.observer.unreadable.step, UNREADABLE_SECONDS),
    )


async def _in_turn(*steps: RecoverTasks | ScaleAgents | CreateAgents) -> float | None:
    """Run steps one after the other: an agent's pod is created in the same turn as the agent."""
    return soonest(*[await one.step() for one in steps])


def _elector(settings: Settings, api: ApiConnection, clock: ServerClock) -> LeaseElector:
    return LeaseElector(
        api,
        namespace=settings.namespace,
        identity=settings.identity,
        clock=clock,
        times=LeaseTimes(
            duration=settings.lease_seconds,
            renew_deadline=settings.renew_seconds,
            retry_period=settings.retry_seconds,
        ),
    )


def _feeds(
    settings: Settings, api: ApiConnection, observer: Observer
) -> tuple[Feed[TaskRecord] | Feed[PodRecord], ...]:
    feeds: list[Feed[TaskRecord] | Feed[PodRecord]] = []
    for namespace in settings.watch_namespaces or (None,):
        tasks = Readers(
            decode=wire.task_record,
            on_replace=partial(observer.tasks_listed, namespace=namespace),
            on_event=observer.task_event,
            on_unreadable=partial(observer.not_read, Kind.TASK),
        )
        pods = Readers(
            decode=wire.pod_record,
            on_replace=partial(observer.pods_listed, namespace=namespace),
            on_event=observer.pod_event,
            on_unreadable=partial(observer.not_read, Kind.POD),
        )
        ours = Scope(namespace=namespace, label_selector=LABEL_AGENT)
        feeds.append(Feed(api, Kind.TASK, tasks, scope=Scope(namespace=namespace)))
        feeds.append(Feed(api, Kind.POD, pods, scope=ours))
    return tuple(feeds)


def _kopf(
    settings: Settings,
    credentials: Credentials,
    resync: Resync,
    loop: AbstractEventLoop,
    ended: Callable[[BaseException | None], None],
) -> KopfThread:
    def over(handle: Callable[..., None]) -> Callable[..., None]:
        """From kopf's thread into ours."""

        def hand(*args: Any) -> None:
            loop.call_soon_threadsafe(handle, *args)

        return hand

    def login() -> kopf.ConnectionInfo:
        known = credentials.login()
        return kopf.ConnectionInfo(
            server=known.server,
            token=known.token,
            ca_path=known.ca_path,
            certificate_path=known.certificate_path,
            private_key_path=known.private_key_path,
            insecure=known.insecure,
            proxy_url=known.proxy_url,
        )

    registry = kopf.OperatorRegistry()
    register(
        registry,
        on_agent=over(resync.agent_event),
        on_pool=over(resync.pool_event),
        on_quota=over(resync.quota_event),
    )
    return KopfThread(registry, login, settings.watch_namespaces, settings.identity, over(ended))
