"""An API server, people and the network; every move of theirs is one method with one number.

The number chooses among what is possible now: any sequence of numbers is a possible history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from agentcorps.core.conditions import timestamp
from agentcorps.ports import Kind
from support.control_room import NAMESPACE, POOL, ManualClock
from support.model.cluster import ModelCluster
from support.model.judge import Judge
from support.model.network import Network, Way
from support.model.quiet_loop import QuietLoop
from support.model.replica import FEEDS, Lease, Replica

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from agentcorps.core.records import Key
    from support.model.network import Message
    from support.model.process import Process

Choice = TypeVar("Choice")

MOST_TASKS = 8
"""Unfinished ones at a time."""
TIMEOUTS = (5, 20, 300)
QUEUE_TIMEOUTS = (None, None, None, None, None, 5, 40)
WAYS = tuple(Way)


class Ground:
    """Everything that is there, people and the network. ``check`` judges it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.loop = QuietLoop(self.clock)
        self.loop.set_exception_handler(self._failed)
        self.network = Network()
        self.cluster = ModelCluster(self.clock)
        self.judge = Judge(self.clock)
        self.cluster.judges.append(self.judge.stored)
        self.cluster.watchers.append(self.judge.watch)
        self.lease = Lease()
        self.processes: dict[str, Process] = {}
        """By name of the pod: the process that runs, or ran last, in it."""
        self._names = 0
        self._finished_tasks = 0
        self.replicas: list[Replica] = []

    def close(self) -> None:
        """End the event loop."""
        self.loop.abandon()
        self.loop.close()

    def check(self) -> None:
        """Fail if an invariant does not hold.

        Raises:
            Broken: An invariant does not hold.
        """
        for replica in self.replicas:
            self.judge.found.extend(replica.link.faults)
        self.judge.require()

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.judge.blame(f"unexpected: {context['message']}: {error!r}")

    # People

    def create_task(self, number: int) -> None:
        """Somebody creates a Task."""
        if len(self.judge.unfinished()) >= MOST_TASKS:
            return
        number, retries = divmod(number, 4)
        number, quick = divmod(number, len(TIMEOUTS))
        number, priority = divmod(number, 2)
        number, patience = divmod(number, len(QUEUE_TIMEOUTS))
        self._names += 1
        self.cluster.put(
            Kind.TASK,
            {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "Task",
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": f"task-{self._names}",
                    "creationTimestamp": timestamp(self.clock.now().wall),
                },
                "spec": {
                    "pool": POOL,
                    "requires": ["sum"],
                    "input": {},
                    "priority": priority,
                    "queueTimeoutSeconds": QUEUE_TIMEOUTS[patience],
                    "timeoutSeconds": TIMEOUTS[quick],
                    "retry": {"limit": retries, "backoffSeconds": 1},
                    "cancel": False,
                },
                "status": {"observedGeneration": -1, "phase": "Queued"},
            },
        )

    def cancel_task(self, number: int) -> None:
        """Somebody sets spec.cancel."""
        key = pick(self._tasks(), number)
        if key is not None:
            self.cluster.change(Kind.TASK, key, _cancel)

    def delete_task(self, number: int) -> None:
        """Somebody deletes a Task."""
        key = pick(self._tasks(), number)
        if key is not None:
            self.judge.forget(self.cluster.remove(Kind.TASK, key)["metadata"]["uid"])

    def edit_task(self, number: int) -> None:
        """Somebody edits labels: the next write of the status meets a newer version."""
        key = pick(self._tasks(), number)
        if key is not None:
            self.cluster.change(Kind.TASK, key, lambda _: None)

    # The network and the watch

    def pass_message(self, number: int) -> None:
        """One message arrives, whichever."""
        self._let(pick(self.network.passable(), number), arrive=True)

    def pass_messages(self, number: int) -> None:
        """All messages under way arrive, and some more rounds of those that follow."""
        for _ in range(1 + number % 4):
            for message in self.network.swift():
                if not message.arrival.done() and message.may_pass:
                    self._let(message, arrive=True)

    def lose_message(self, number: int) -> None:
        """A message is lost."""
        self._let(pick(self.network.passable(), number), arrive=False)

    def hold_up(self, number: int) -> None:
        """A message takes long; everything else goes on."""
        message = pick(self.network.swift(), number)
        if message is not None:
            message.slow = True

    def lose_next(self, number: int) -> None:
        """The next message of some way will be lost."""
        self.network.trap(WAYS[number % len(WAYS)], slow=False)

    def hold_up_next(self, number: int) -> None:
        """The next message of some way will take long."""
        self.network.trap(WAYS[number % len(WAYS)], slow=True)

    def _let(self, message: Message | None, *, arrive: bool) -> None:
        if message is not None:
            self.network.let(message, arrive=arrive)
            self.loop.settle()

    def watch(self, number: int) -> None:
        """A replica takes in some events of one kind."""
        number, most = divmod(number, 4)
        number, kind = divmod(number, len(FEEDS))
        replica = pick(self._running(), number)
        if replica is not None:
            replica.observe(FEEDS[kind], most + 1)
            self.loop.settle()

    def watch_all(self, number: int) -> None:
        """A replica takes in all that there is."""
        replica = pick(self._running(), number)
        if replica is not None:
            self._observe_all(replica)

    def cut_watch(self, number: int) -> None:
        """A watch is cut, and a list takes its place."""
        number, kind = divmod(number, len(FEEDS))
        replica = pick(self._running(), number)
        if replica is not None:
            replica.relist(FEEDS[kind])

    def _observe_all(self, replica: Replica) -> None:
        for kind in FEEDS:
            replica.observe(kind, len(replica.feeds[kind]))
        self.loop.settle()

    # What there is to choose from

    def _tasks(self) -> list[Key]:
        return [key for kind, key in self.cluster.objects if kind is Kind.TASK]

    def _running(self) -> list[Replica]:
        return [one for one in self.replicas if one.runs]

    def _leaders(self) -> list[Replica]:
        return [one for one in self.replicas if one.runs and one.led]

    def _processes(self) -> list[Process]:
        return [one for one in self.processes.values() if one.alive]


def pick(choices: Sequence[Choice], number: int) -> Choice | None:
    """Choose by a number; None when there is nothing to choose from."""
    return choices[number % len(choices)] if choices else None


def _cancel(task: dict[str, Any]) -> None:
    task["spec"]["cancel"] = True
    task["metadata"]["generation"] += 1
