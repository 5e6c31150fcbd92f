"""Starts, inspects and ends the local cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

from cluster import cgroups, console, network, teardown, tools
from cluster.addresses import AddressPlan, free_index, in_use
from cluster.controlplane import ControlPlane, Endpoints, kubectl
from cluster.errors import ClusterError
from cluster.home import Home, locked
from cluster.layout import Layout, Mode, State
from cluster.node import Node, node_ready
from cluster.packages import NODE_PACKAGES, ensure_packages, need_root

# A Unix socket's path holds 107 bytes; the longest below the folder is the kubelet's
# "/kubelet/pod-resources/kubelet.sock".
_LONGEST_FOLDER = 72
_CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NODE = (*_CONTROL_PLANE, "containerd", "kubelet", "kube-proxy", "coredns")


@dataclass(frozen=True)
class Health:
    """What a look at a cluster found.

    Attributes:
        state: what its start decided; None if it never got so far.
        dead: components that should run and do not.
        complete: the start went through to its end.
        answers: the API server says that it is ready.
        node: the node is Ready; None without a node.
    """

    state: State | None
    dead: tuple[str, ...] = ()
    complete: bool = False
    answers: bool = False
    node: bool | None = None

    @property
    def good(self) -> bool:
        """Tell whether the cluster can be used."""
        return self.complete and self.answers and not self.dead and self.node is not False


def layout_of(home: Home, name: str) -> Layout:
    """Return the layout of a cluster with the programs of this checkout."""
    return Layout.of(home, name, tools.bin_folder(home))


def inspect(layout: Layout) -> Health:
    """Look at a cluster without changing anything."""
    state = layout.read_state()
    if state is None:
        return Health(None)
    dead = tuple(name for name in state.daemons if not layout.daemon(name).alive())
    if dead or not (layout.kubeconfig.exists() and tools.built(layout.bin, tools.CONTROL_PLANE)):
        return Health(state, dead)
    answers = kubectl(layout, "get", "--raw=/readyz") == "ok"
    node = node_ready(layout) if state.mode == "node" else None
    complete = (layout.folder / "complete").exists()
    return Health(state, dead, complete=complete, answers=answers, node=node)


def up(home: Home, layout: Layout, mode: Mode) -> None:
    """Start a cluster, unless it runs and is healthy.

    What is left of an unhealthy or half-started one is removed first.

    Args:
        home: where tools and clusters are.
        layout: the cluster's names and paths.
        mode: with a node, or the control plane alone.

    Raises:
        ClusterError: it did not come up, or runs in the other mode.
    """
    with locked(home.locks / f"cluster-{layout.name}", f"it starts or ends {layout.name}"):
        health = inspect(layout)
        if health.good and health.state is not None:
            _check_mode(layout, health.state, mode)
            console.say(f"Cluster {layout.name} is up.")
            return
        _prepare(home, layout, mode)
        if layout.folder.exists():
            with console.step(f"Cleaning up what is left of cluster {layout.name}"):
                teardown.down(layout)
        _start(layout, mode)
        (layout.folder / "complete").touch()
        console.say(f"Cluster {layout.name} is up.")


def down(home: Home, layout: Layout) -> bool:
    """End a cluster; returns whether there was anything to end."""
    with locked(home.locks / f"cluster-{layout.name}", f"it starts or ends {layout.name}"):
        state = layout.read_state()
        if state is not None and state.mode == "node":
            need_root("to end the node")
        return teardown.down(layout)


def names(home: Home) -> list[str]:
    """Return the names of all clusters that left anything."""
    return sorted(path.name for path in home.clusters.glob("*/") if path.is_dir())


def _check_mode(layout: Layout, state: State, mode: Mode) -> None:
    if state.mode != mode:
        runs = "a node" if state.mode == "node" else "its control plane only"
        raise ClusterError(
            f"cluster {layout.name} runs with {runs}: choose another --name, or end it with 'down'"
        )


def _prepare(home: Home, layout: Layout, mode: Mode) -> None:
    if mode == "node":
        if len(os.fsencode(layout.folder)) > _LONGEST_FOLDER:
            raise ClusterError(
                f"{layout.folder} is too long for the sockets below it ({_LONGEST_FOLDER} bytes "
                "at most): set AGENTCORPS_HOME to a shorter path, or choose a shorter --name"
            )
        need_root("to run containerd and kubelet")
        ensure_packages(home, NODE_PACKAGES)
    tools.ensure(home, tools.NODE if mode == "node" else tools.CONTROL_PLANE)


def _start(layout: Layout, mode: Mode) -> None:
    if mode == "control-plane":
        ends = Endpoints.on_loopback()
        # Without nodes a scheduler has nothing to do; nodes of kwok bring it (see kwok.py).
        layout.write_state(State(mode, -1, ends.server, _CONTROL_PLANE[:-1]))
        ControlPlane(layout, ends, layout.launcher()).start(scheduler=False)
        return
    with locked(Path("/run/lock/agentcorps-addresses"), "it chooses addresses"):
        plan = AddressPlan(free_index(in_use()))
        ends = Endpoints(plan.node, plan.services)
        layout.write_state(State(mode, plan.index, ends.server, _NODE))
        network.create(layout, plan)
    daemons, _ = cgroups.create(plan.interface)
    control = ControlPlane(layout, ends, layout.launcher(cgroups=(daemons,), netns=layout.netns))
    control.start(scheduler=True)
    Node(layout, plan, control).start()
