"""Everything of one fault scenario: operators behind proxies, agents, and the watcher of it all."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

from agentcorps.agent import Agent, Context, TaskError
from support import objects
from support.fault_proxy import FaultProxy
from support.forwarder import Forwarder
from support.gates import opened
from support.invariants import Ledger, Sight
from support.kubectl import Kubectl
from support.live_agent import LiveAgent, pod_token
from support.operator_process import OperatorProcess
from support.poll import until
from support.raw_api import Json, RawApi, RawApiError
from support.watcher import PODS, TASKS, Watcher

Gateway = tuple[str, str]
"""URL and certificate authority."""
Result = TypeVar("Result")

POOL = "crew"
KEPT = 1_000_000
"""Finished tasks, however many a scenario has: each of them is judged."""
PRODUCTION = {
    "AGENTCORPS_LEASE_SECONDS": "15",
    "AGENTCORPS_LEASE_RENEW_SECONDS": "10",
    "AGENTCORPS_LEASE_RETRY_SECONDS": "2",
}
"""Times of the Lease for a machine that is busy for long; others are shorter, not to wait."""
SOMEWHERE = "192.0.2.1"
"""An address for documentation: a slice takes none of this machine's own; the forwarder knows."""
AGENTS = "/apis/agentcorps.dev/v1alpha1/namespaces/{}/agents"
POOLS = "/apis/agentcorps.dev/v1alpha1/namespaces/{}/agentpools"


@dataclass(frozen=True, slots=True)
class Replica:
    """One operator process and the proxy that is its only way to the API server."""

    process: OperatorProcess
    faults: FaultProxy


class Stage:
    """One namespace with operators, agents, tasks and a watcher that all of them are judged by."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        """Prepare an empty stage in a namespace that exists."""
        self.kubectl = kubectl
        self.namespace = namespace
        self.folder = folder
        self.api = RawApi(kubectl.kubeconfig)
        self.ledger = Ledger()
        self.watcher = Watcher(kubectl.kubeconfig, namespace, self.ledger)
        self.replicas: list[Replica] = []
        self.agents: dict[str, LiveAgent] = {}
        self.slots: dict[str, int] = {}
        self.created: dict[str, str] = {}
        """Name to UID of the tasks."""
        self.failures: dict[str, int] = {}
        """How often the tasks are to fail first, by name."""
        self.gone: set[str] = set()
        """UIDs of the tasks that the test deleted."""
        self.canary = f"canary-{uuid4().hex[:10]}"
        self.on_wait: Callable[[], object] = lambda: None
        """Called again and again while the stage waits for something."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._stack.enter_context(self.watcher)
        self.forwarder = self._stack.enter_context(
            Forwarder(self.kubectl.kubeconfig, self.namespace)
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End agents, operators and proxies, in this order."""
        for agent in self.agents.values():
            agent.kill()
        self._stack.close()

    def prepare(self, **environ: str) -> Replica:
        """Return one more operator that is not started yet."""
        name = f"operator-{len(self.replicas)}"
        faults = self._stack.enter_context(
            FaultProxy(self.kubectl.kubeconfig, self.folder, f"{name}-proxy")
        )
        process = OperatorProcess(
            faults.kubeconfig,
            self.namespace,
            self.folder / f"{name}.log",
            gateway_url=self.forwarder.url,
            environ={"AGENTCORPS_POD_IP": SOMEWHERE, **environ},
        )
        replica = Replica(process, faults)
        self.replicas.append(replica)
        self._stack.callback(process.__exit__, None, None, None)
        return replica

    def lead(self, **environ: str) -> Replica:
        """Start one more operator and wait until it leads."""
        replica = self.prepare(**environ)
        replica.process.start()
        return replica

    def stand_by(self) -> Replica:
        """Start one more operator and wait until it is ready to take over."""
        replica = self.prepare()
        replica.process.launch()
        until(replica.process.ready, "standby")
        return replica

    def pool(self, replicas: int, slots: int = 1, name: str = POOL, **more: Any) -> None:
        """Create a pool; ``more`` goes to the spec of its agents."""
        spec = {"capabilities": ["work"], "slots": slots, **more}
        pool = objects.pool(name, spec, replicas=replicas, tasks={"historyLimit": KEPT})
        self.api.post(POOLS.format(self.namespace), pool)

    def crew(self, replicas: int, slots: int = 1, name: str = POOL) -> None:
        """Create a pool and run an agent in the name of each of its pods."""
        self.pool(replicas, slots, name)
        for number in range(replicas):
            self.agent(f"{name}-{number}", slots)

    def staffed(self, replicas: int, slots: int = 1) -> Replica:
        """Start a leader and a crew, and wait until all its agents are ready."""
        replica = self.lead()
        self.crew(replicas, slots)
        self.settled()
        return replica

    def busy(
        self, replicas: int, tasks: int, slots: int = 1, prefix: str = "t", **spec: Any
    ) -> None:
        """Run a crew and submit tasks, and wait until as many are worked on as there are agents."""
        self.crew(replicas, slots)
        self.running(self.submit(tasks, prefix, **spec)[:replicas])

    def agent(self, pod: str, slots: int = 1, gateway: Gateway | None = None) -> LiveAgent:
        """Run an agent in the name of a pod, once that is there; by default on the leader."""
        self.wait(lambda: self.there(f"{PODS.format(self.namespace)}/{pod}"), f"pod {pod}")
        return self.agent_of(pod, slots, gateway)

    def agent_of(self, pod: str, slots: int = 1, gateway: Gateway | None = None) -> LiveAgent:
        """Run an agent in the name of a pod that is there.

        Raises:
            AssertionError: It is not there.
        """
        token = pod_token(self.kubectl, pod)
        worker = self._worker(pod, slots)
        url, authority = gateway or (self.forwarder.url, self.authority)
        agent = LiveAgent(worker, url, authority, token, self.folder)
        self.slots[pod] = slots
        self.agents[pod] = agent
        return agent.__enter__()

    def submit(self, count: int, prefix: str = "t", **spec: Any) -> list[str]:
        """Create tasks and return their names.

        ``sleep``, ``failures`` and ``gate`` (a file that they wait for) go to the input.
        """
        given: Json = {key: spec.pop(key) for key in ("sleep", "failures", "gate") if key in spec}
        values = {"pool": POOL, "requires": ["work"], "input": {"secret": self.canary, **given}}
        names = [f"{prefix}{number}" for number in range(count)]
        bodies = (objects.task(name, **(values | spec)) for name in names)
        for stored in self.api.post_all(TASKS.format(self.namespace), bodies):
            name = stored["metadata"]["name"]
            self.created[name] = stored["metadata"]["uid"]
            self.failures[name] = given.get("failures", 0)
        return names

    def task(self, name: str) -> Json:
        """Read a Task."""
        return self.api.get(f"{TASKS.format(self.namespace)}/{name}")

    def there(self, path: str) -> Json | None:
        """Read what may not be there (yet, or any more)."""
        try:
            return self.api.get(path)
        except RawApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def delete_task(self, name: str) -> None:
        """Delete a Task; it need not end then."""
        self.gone.add(self.created[name])
        self.api.delete(f"{TASKS.format(self.namespace)}/{name}")

    def kill_pod(self, pod: str) -> None:
        """Delete a pod, and end its agent with it as the kubelet would."""
        self.agents.pop(pod).kill()
        self.api.delete(f"{PODS.format(self.namespace)}/{pod}", gracePeriodSeconds=0)

    def uids(self, names: Iterable[str]) -> set[str]:
        """Return the UIDs of tasks."""
        return {self.created[name] for name in names}

    def seen(self, name: str) -> Sight | None:
        """What the watcher saw last of a Task."""
        return self.watcher.latest().get(self.created[name])

    def running(self, names: Iterable[str], seconds: float = 60) -> None:
        """Wait until agents work on all of these."""
        uids = self.uids(names)
        self.wait(
            lambda: uids <= {one.uid for one in self.ledger.executions},
            "execution of all",
            seconds=seconds,
        )

    def ended(self, names: Iterable[str] | None = None, seconds: float = 120) -> dict[str, Sight]:
        """Wait until tasks have ended (all that were submitted); returns their ends by name."""
        wanted = list(self.created) if names is None else list(names)

        def over() -> dict[str, Sight] | None:
            latest = self.watcher.latest()
            found = {
                name: sight
                for name in wanted
                if (sight := latest.get(self.created[name])) and sight.terminal
            }
            return found if len(found) == len(wanted) else None

        try:
            return self.wait(over, "end of all tasks", seconds=seconds)
        except AssertionError as error:
            phases = dict(self.phases(wanted))
            raise AssertionError(f"not all tasks ended: {phases}; {error}") from error

    def flawless(self, names: Iterable[str] | None = None) -> dict[str, Sight]:
        """Wait for the end of tasks as `ended` does, and judge it.

        Raises:
            AssertionError: One did not succeed in its first attempt, or something was broken.
        """
        ends = self.ended(names)
        flaws = {
            name: (end.phase, end.attempt, end.reasons)
            for name, end in ends.items()
            if (end.phase, end.attempt) != ("Succeeded", 1)
        }
        assert flaws == {}
        assert self.breaches() == []
        return ends

    def wait(self, probe: Callable[[], Result | None], what: str, *, seconds: float = 90) -> Result:
        """Wait until ``probe`` answers something truthy, and return that; see ``until``.

        Raises:
            AssertionError: It did not; the message tells of the operators, too.
        """

        def look() -> Result | None:
            self.on_wait()
            return probe()

        try:
            return until(look, what, seconds=seconds)
        except AssertionError as error:
            states = [one.process.state() for one in self.replicas]
            raise AssertionError(f"{error}; operators: {states}") from error

    def phases(self, names: Iterable[str]) -> Counter[str]:
        """Return how many of these tasks were last seen in which phase."""
        latest = self.watcher.latest()
        seen = [latest.get(self.created[name]) for name in names]
        return Counter("unseen" if sight is None else sight.phase for sight in seen)

    def settled(self, pool: str = POOL) -> None:
        """Wait until all agents of a pool are ready."""

        def ready() -> bool:
            found = self.api.get(f"{POOLS.format(self.namespace)}/{pool}")
            wanted = found["spec"]["replicas"]
            return bool(found.get("status", {}).get("readyReplicas", 0) == wanted)

        self.wait(ready, f"all agents of {pool}")

    def breaches(self) -> list[str]:
        """Return what breaks I1, I3, I8 and the rule that nothing is executed twice at a time."""
        found = self.watcher.faults(self.slots, self.created.values(), self.gone)
        return [*found, *self._leaks()]

    def quiet(self, seconds: float = 6.0) -> list[str]:
        """Return the writes of a while without work (I5); it begins when the last ones are over.

        What is due at most once a second, or after five seconds of idleness, is waited for first.
        """
        self._still(6.5)
        since = [len(replica.faults.calls) for replica in self.replicas]
        time.sleep(seconds)
        return [
            call.what
            for replica, start in zip(self.replicas, since, strict=True)
            for call in replica.faults.writes(start)
        ]

    def end_state(self) -> Json:
        """What is left in the namespace, without what differs between two equal runs."""
        tasks = self.api.get(TASKS.format(self.namespace))["items"]
        agents = self.api.get(AGENTS.format(self.namespace))["items"]
        pods = self.api.get(PODS.format(self.namespace))["items"]
        return {
            "tasks": {
                one["metadata"]["name"]: [
                    one["status"]["phase"],
                    one["status"].get("failures", 0),
                    one["status"].get("result", {}).get("echo") == self.canary,
                ]
                for one in tasks
            },
            "agents": sorted(one["metadata"]["name"] for one in agents),
            "pods": sorted(one["metadata"]["name"] for one in pods),
        }

    @cached_property
    def authority(self) -> str:
        """The gateway's certificate authority, in PEM."""
        return self.authority_of(self.namespace)

    def authority_of(self, namespace: str) -> str:
        """The certificate authority of the gateway of an operator in any namespace, in PEM."""
        path = f"/api/v1/namespaces/{namespace}/secrets/agentcorps-gateway-tls"
        secret = self.wait(lambda: self.there(path), "certificate of the gateway")
        return base64.b64decode(secret["data"]["ca.crt"]).decode()

    def _worker(self, pod: str, slots: int) -> Agent:
        agent = Agent(slots=slots)

        @agent.task("work")
        async def work(task: dict[str, Any], ctx: Context) -> dict[str, Any]:
            with self.ledger.executing(ctx.uid, ctx.attempt, pod):
                await asyncio.sleep(task.get("sleep", 0))
                await opened(task.get("gate"))
                if ctx.attempt <= task.get("failures", 0):
                    raise TaskError("as asked")
            return {"echo": task["secret"], "attempt": ctx.attempt}

        return agent

    def _leaks(self) -> list[str]:
        """Where an input or a result shows that must not (I8)."""
        leaks = [
            f"I8: payload in {replica.process.log.name}"
            for replica in self.replicas
            if replica.process.log.exists() and self.canary in replica.process.log.read_text()
        ]
        try:
            events = self.api.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        except (RawApiError, OSError):
            return [*leaks, "I8: the Events could not be read"]
        if self.canary in json.dumps(events):
            leaks.append("I8: payload in an Event")
        return leaks

    def _still(self, seconds: float, limit: float = 60) -> None:
        """Wait until there was no write for so long."""
        deadline = time.monotonic() + limit

        def still() -> bool:
            last = [call.at for one in self.replicas for call in one.faults.writes()]
            quiet_since = max(last, default=0.0)
            return time.monotonic() - quiet_since > seconds

        until(still, "silence", seconds=deadline - time.monotonic())


def measured(act: Callable[[], object]) -> float:
    """Return how many seconds something took."""
    began = time.monotonic()
    act()
    return time.monotonic() - began
