"""Simulated nodes for scale tests: kwok answers for their kubelets, and no container runs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster import console, tools
from cluster.controlplane import await_daemon, kubectl, start_scheduler
from cluster.errors import ClusterError
from cluster.home import Home
from cluster.layout import Layout, State
from cluster.ports import free_port

_STAGES = Path(__file__).parent / "kwok-stages.yaml"
_LABEL = "type=kwok"


def add_nodes(home: Home, layout: Layout, count: int) -> None:
    """Make sure that a running cluster has at least ``count`` simulated nodes, all Ready.

    They are labelled ``type=kwok`` and tainted ``kwok.x-k8s.io/node=fake:NoSchedule``: only pods
    that ask for them go there.

    Args:
        home: where tools and clusters are.
        layout: the cluster; it must be up.
        count: the number of nodes.

    Raises:
        ClusterError: the cluster is not up, or the nodes did not become Ready.
    """
    state = layout.read_state()
    if state is None:
        raise ClusterError(f"cluster {layout.name} is not up")
    tools.ensure(home, ("kwok",))
    with console.step(f"Simulated nodes: {count}"):
        _start_daemons(layout, state)
        nodes = layout.folder / "kwok-nodes.json"
        items = [_node(index) for index in range(count)]
        nodes.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        # On a busy machine a server that was just ready may not answer in time.
        created = lambda: kubectl(layout, "apply", "--server-side", "-f", str(nodes)) is not None  # noqa: E731 -- as below
        await_daemon(layout.daemon("kwok"), f"{count} simulated nodes created", created)
        ready = lambda: _ready_nodes(layout) >= count  # noqa: E731 -- a name for one line
        await_daemon(layout.daemon("kwok"), f"{count} simulated nodes Ready", ready)


def _start_daemons(layout: Layout, state: State) -> None:
    launcher = layout.launcher()
    started = []
    # A control plane alone has no scheduler, as it has no nodes.
    if "kube-scheduler" not in state.daemons:
        started.append(start_scheduler(layout, launcher, state.server))
    if not layout.daemon("kwok").alive():
        started.append(
            launcher.start(
                "kwok",
                [
                    layout.program("kwok"),
                    f"--kubeconfig={layout.kubeconfig}",
                    f"--config={_STAGES}",
                    # A fixed one would be taken by the kwok of another cluster of this machine.
                    f"--node-port={free_port()}",
                    f"--manage-nodes-with-label-selector={_LABEL}",
                    "--node-lease-duration-seconds=40",
                ],
            )
        )
    names = (daemon.name for daemon in started if daemon.name not in state.daemons)
    layout.write_state(replace(state, daemons=(*state.daemons, *names)))


def _ready_nodes(layout: Layout) -> int:
    listing = kubectl(layout, "get", "nodes", "-l", _LABEL, "--no-headers")
    return sum(1 for line in (listing or "").splitlines() if line.split()[1] == "Ready")


def _node(index: int) -> Mapping[str, Any]:
    key, _, value = _LABEL.partition("=")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"kwok-{index}", "labels": {key: value}},
        "spec": {
            "taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]
        },
    }
