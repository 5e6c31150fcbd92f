"""All use cases around one State, with a fake cluster and a clock that tests move."""

from typing import Any

from agentcorps.api.meta import LABEL_AGENT
from agentcorps.api.protocol import HelloRequest, NextRequest, NextResponse, TaskRef
from agentcorps.control.assign_tasks import AssignTasks
from agentcorps.control.autoscale_pools import AutoscalePools
from agentcorps.control.basis import Basis
from agentcorps.control.create_agents import CreateAgents
from agentcorps.control.loop import Loop
from agentcorps.control.monitor_agents import MonitorAgents
from agentcorps.control.recover_tasks import RecoverTasks
from agentcorps.control.resource_pool import ResourcePool
from agentcorps.control.scale_agents import ScaleAgents
from agentcorps.core import wire
from agentcorps.core.payloads import Access
from agentcorps.core.podspec import GatewayAddress
from agentcorps.core.records import Key, Now
from agentcorps.ports import UNMETERED, Cluster, Kind, Leadership, Meter, Object, PodIdentity
from agentcorps.wiring import World, use_cases
from support.fake_cluster import FakeCluster, Notes

NAMESPACE = "team"
POOL = "crew"
EPOCH_2026 = 1_767_225_600.0
INSTANCE = "instance-one"


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> Now:
        """See ports.Clock."""
        return Now(self.seconds, EPOCH_2026 + self.seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class Leader:
    """A Leadership that a test can take away."""

    def __init__(self, epoch: int = 7) -> None:
        self.leading = True
        self.epoch = epoch


class ControlRoom:
    """One operator without I/O: what its loops would do is done by calling ``step``."""

    def __init__(
        self,
        cluster: FakeCluster | None = None,
        epoch: int = 7,
        *,
        clock: ManualClock | None = None,
        link: Cluster | None = None,
        leadership: Leadership | None = None,
        access: Access = Access.ANY,
        meter: Meter = UNMETERED,
    ) -> None:
        """Wire everything.

        Args:
            cluster: What there is; a new, empty one by default.
            epoch: Term of the leader.
            clock: A clock that several rooms share; one of its own by default.
            link: How this operator reaches the cluster, where that is not simply always.
            leadership: Whether it leads, where that is not up to the test.
            access: What it may do with Secrets.
            meter: Takes note of what happens.
        """
        self.cluster = cluster or FakeCluster()
        self.clock = clock or ManualClock()
        self.leader = Leader(epoch)
        port: Cluster = link or self.cluster
        self.notes = Notes()
        self.forgotten: list[str] = []
        world = World(port, self.clock, leadership or self.leader, self.notes, meter)
        rooms = use_cases(
            world,
            lambda: GatewayAddress("https://gateway:8443", "CA"),
            self.forgotten.append,
            access=access,
        )
        self.state, self.kicks, self.remembered = rooms.state, rooms.kicks, rooms.remembered
        self.writes, self.deliveries = rooms.writes, rooms.deliveries
        self.observer, self.progress, self.calls = rooms.observer, rooms.progress, rooms.calls
        self.tasks, fleet = rooms.tasks, rooms.fleet
        self.assign = AssignTasks(self.state, self.tasks, self.clock)
        basis = Basis(self.state, self.remembered, self.clock)
        self.recover = RecoverTasks(basis, self.tasks)
        self.scale = ScaleAgents(basis, fleet, ResourcePool(basis, self.kicks.statuses))
        self.create = CreateAgents(basis, fleet)
        self.monitor = MonitorAgents(basis, fleet)
        self.autoscale = AutoscalePools(basis, self.notes, self.kicks, meter)
        # An open poll asks for work by a kick, as it does in the operator.
        self.assign_loop = Loop("assign", self._assign, tick=60)
        idle = Loop("idle", self.monitor.step, tick=60)
        self.kicks.connect(
            assign=self.assign_loop, fleet=idle, statuses=idle, autoscale=idle, metrics=idle
        )

    async def settle(self) -> None:
        """Run the assignment step until nothing more happens at this instant."""
        for _ in range(3):
            await self._assign()
            await self.writes.drain()

    async def _assign(self) -> float | None:
        await self.recover.step()
        return await self.assign.step()

    def add_pool(self, replicas: int = 0, name: str = POOL, **spec: Any) -> Object:
        """Somebody creates an AgentPool, ``crew`` by default."""
        pool = self.cluster.put(
            Kind.POOL,
            {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "AgentPool",
                "metadata": {"namespace": NAMESPACE, "name": name},
                "spec": {
                    "replicas": replicas,
                    "drainTimeoutSeconds": 300,
                    "template": {"spec": agent_spec()},
                    **spec,
                },
                "status": {"observedGeneration": -1},
            },
        )
        self.observer.pool_event("ADDED", pool)
        return pool

    def add_agent(self, name: str = "crew-0", **spec: Any) -> PodIdentity:
        """An Agent of the pool and its live pod; returns what the pod's token proves."""
        pool = self.cluster.objects.get((Kind.POOL, Key(NAMESPACE, POOL))) or self.add_pool()
        owner = {
            "apiVersion": "agentcorps.dev/v1alpha1",
            "kind": "AgentPool",
            "name": POOL,
            "uid": pool["metadata"]["uid"],
            "controller": True,
        }
        agent = self.cluster.put(
            Kind.AGENT,
            {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "Agent",
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": name,
                    "labels": {"agentcorps.dev/pool": POOL},
                    "ownerReferences": [owner],
                },
                "spec": agent_spec() | spec,
                "status": {"observedGeneration": -1},
            },
        )
        self.observer.agent_event("ADDED", agent)
        return self.add_pod(name, agent)

    def add_pod(self, name: str, agent: Object) -> PodIdentity:
        """A live pod of an Agent."""
        pod = self.cluster.put(
            Kind.POD,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": name,
                    "labels": {LABEL_AGENT: name},
                    "ownerReferences": [
                        {
                            "kind": "Agent",
                            "name": name,
                            "uid": agent["metadata"]["uid"],
                            "controller": True,
                        }
                    ],
                },
                "spec": {"containers": [{"name": "agent"}]},
                "status": {"phase": "Running"},
            },
        )
        self.observer.pod_event("ADDED", wire.pod_record(pod))
        return PodIdentity(Key(NAMESPACE, name), pod["metadata"]["uid"])

    def remove_pod(self, name: str) -> None:
        """The pod is gone, and the watch says so."""
        pod = self.cluster.objects.pop((Kind.POD, Key(NAMESPACE, name)))
        self.observer.pod_event("DELETED", wire.pod_record(pod))

    def add_task(self, name: str = "task", **spec: Any) -> str:
        """Somebody creates a Task; returns its UID."""
        task = self.cluster.put(
            Kind.TASK,
            {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "Task",
                "metadata": {"namespace": NAMESPACE, "name": name},
                "spec": {
                    "pool": POOL,
                    "requires": ["sum"],
                    "input": {"of": name},
                    "priority": 0,
                    "timeoutSeconds": 600,
                    "retry": {"limit": 2},
                    "cancel": False,
                    **spec,
                },
                "status": {"observedGeneration": -1, "phase": "Queued"},
            },
        )
        self.observer.task_event("ADDED", wire.task_record(task))
        uid: str = task["metadata"]["uid"]
        return uid

    def status(self, name: str = "task") -> dict[str, Any]:
        """The status of a Task as stored."""
        return self.cluster.status(Key(NAMESPACE, name))

    async def hello(
        self, who: PodIdentity, instance: str = INSTANCE, *running: TaskRef, slots: int = 1
    ) -> Any:
        """An agent says hello."""
        return await self.calls.sessions.hello(
            who,
            HelloRequest(protocol_version=1, instance=instance, slots=slots, running=list(running)),
        )

    async def connect(self, name: str = "crew-0", slots: int = 1) -> PodIdentity:
        """An Agent of the pool comes, and its process says hello."""
        who = self.add_agent(name, slots=slots)
        await self.hello(who, slots=slots)
        return who

    async def poll(
        self,
        who: PodIdentity,
        *running: TaskRef,
        instance: str = INSTANCE,
        wait: float = 5,
        free: int = 1,
    ) -> NextResponse | None:
        """An agent polls."""
        return await self.calls.sessions.next(
            who, NextRequest(instance=instance, free=free, wait=wait, running=list(running))
        )


def agent_spec() -> dict[str, Any]:
    """Return the spec of an agent that can sum."""
    return {
        "capabilities": ["sum"],
        "slots": 1,
        "health": {"heartbeatSeconds": 5, "failureThreshold": 3, "startupSeconds": 120},
        "podTemplate": {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}},
    }


PATIENT: dict[str, Any] = {
    "template": {"spec": {**agent_spec(), "health": {"startupSeconds": 3600}}}
}
"""Of a pool whose agents may be as old as the fake cluster makes them, and have not started."""


async def grow(room: ControlRoom, turns: int = 3) -> None:
    """Run the fleet's steps a few times, as kicks would."""
    for _ in range(turns):
        await room.scale.step()
        await room.create.step()


def names(room: ControlRoom, kind: Kind) -> list[str]:
    """The names of all stored objects of a kind."""
    return sorted(key.name for one, key in room.cluster.objects if one is kind)


def set_replicas(room: ControlRoom, replicas: int) -> None:
    """Somebody scales the pool."""
    pool = room.cluster.change(
        Kind.POOL, Key(NAMESPACE, POOL), lambda one: one["spec"].update(replicas=replicas)
    )
    room.observer.pool_event("MODIFIED", pool)
