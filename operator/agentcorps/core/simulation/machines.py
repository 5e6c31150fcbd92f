"""Nodes on the virtual clock: pods take the first place that fits, and have a node started else."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.core.charge import Charge
    from agentcorps.core.simulation.plan import Machines


class Node:
    """A node, from the moment it is asked for."""

    __slots__ = ("empty_since", "from_the_first", "left", "pods", "ready_at", "since")

    def __init__(
        self, machines: Machines, since: float, ready_at: float, *, from_the_first: bool
    ) -> None:
        self.left = dict(machines.capacity)
        self.pods = 0
        self.since = since
        self.ready_at = ready_at
        self.empty_since = ready_at
        self.from_the_first = from_the_first

    def take(self, size: Charge) -> bool:
        """Let a pod have its place, if there is one."""
        wants = {name: value for name, value in size.amounts if name in self.left}
        if any(value > self.left[name] for name, value in wants.items()):
            return False
        self._change(wants, 1)
        return True

    def leave(self, size: Charge, now: float) -> None:
        """A pod is gone."""
        self._change({name: value for name, value in size.amounts if name in self.left}, -1)
        if self.pods == 0:
            self.empty_since = max(now, self.ready_at)

    def _change(self, wants: dict[str, int], pods: int) -> None:
        self.pods += pods
        for name, value in wants.items():
            self.left[name] -= pods * value


class Cluster:
    """All nodes."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._nodes = [
            Node(machines, 0.0, 0.0, from_the_first=True) for _ in range(machines.at_first)
        ]
        self._gone_seconds = 0.0
        self.most = machines.at_first

    def place(self, size: Charge, now: float) -> Node | None:
        """Return the node that a pod goes to; None when it fits nowhere and no more may start."""
        self._retire(now)
        for node in self._nodes:
            if node.take(size):
                return node
        if len(self._nodes) >= self._machines.at_most:
            return None
        ready_at = now + self._machines.start_seconds
        fresh = Node(self._machines, now, ready_at, from_the_first=False)
        if not fresh.take(size):
            return None
        self._nodes.append(fresh)
        self.most = max(self.most, len(self._nodes))
        return fresh

    def seconds(self, now: float) -> float:
        """Return for how long nodes existed until now, all together."""
        self._retire(now)
        return self._gone_seconds + sum(now - node.since for node in self._nodes)

    def _retire(self, now: float) -> None:
        """End the nodes that were empty for long enough; looked at when it matters."""
        staying = []
        for node in self._nodes:
            until = inf if node.pods else node.empty_since + self._machines.idle_seconds
            if node.from_the_first or until > now:
                staying.append(node)
            else:
                self._gone_seconds += until - node.since
        self._nodes = staying
