"""The control plane of one repetition: fresh etcd, simulated nodes, the same for all arms."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cluster.home import Home
from cluster.lifecycle import names
from cluster.process import Launcher, identify
from perf.bench.client import Client, Json, Refused
from support.api_server import apply_crds, cluster_tool
from support.components import Component
from support.kubectl import Kubectl

NODES = 4
ACCOUNT = "bench"
TOKEN_HOURS = 4
MANAGER = "kube-controller-manager"
COMPONENTS = ("etcd", "kube-apiserver", MANAGER, "kube-scheduler", "kwok")
TUNED = ("--kube-api-qps=5000", "--kube-api-burst=5000", "--concurrent-job-syncs=50")
DEFAULTS: tuple[str, ...] = ()
_RATES = re.compile(r"--(kube-api-qps|kube-api-burst|concurrent-job-syncs)=")
_MINE = re.compile(r"bench-(\d+)-\d+")


class Plane:
    """A running control plane."""

    def __init__(self, kubeconfig: Path, kubectl: Kubectl) -> None:
        """Use ``started`` to start one."""
        self.kubeconfig = kubeconfig
        self.kubectl = kubectl
        folder = kubectl.kubeconfig.parent
        self._launcher = Launcher(folder / "run", folder / "logs")
        self._flags = DEFAULTS

    def controllers(self, flags: tuple[str, ...]) -> None:
        """Let the controller-manager run with these rates, and with its own defaults else."""
        if flags == self._flags:
            return
        manager = Component(self.kubectl.kubeconfig, MANAGER)
        command = [word for word in manager.stop() if not _RATES.match(word)]
        manager.start([*command, *flags])
        self._flags = flags

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids, for each component and for all of them together."""
        found = {name: self._launcher.daemon(name).identity() for name in COMPONENTS}
        each = {name: [one.pid] for name, one in found.items() if one is not None}
        return {**each, "control_plane": [pid for pids in each.values() for pid in pids]}

    async def namespace(self, client: Client, name: str) -> None:
        """Create a namespace, and wait until controllers have done what each one gets."""
        await client.post(
            "/api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        )
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.get(f"/api/v1/namespaces/{name}/serviceaccounts/default")
                except Refused:
                    await asyncio.sleep(0.1)
                    continue
                return


@contextmanager
def started(name: str) -> Iterator[Plane]:
    """Start a control plane with nodes of kwok, and end it whatever happens."""
    tools = cluster_tool("tools", "--with", "kwok")
    try:
        kubeconfig = Path(cluster_tool("up", "--control-plane-only", "--name", name))
        cluster_tool("kwok", "--name", name, str(NODES))
        kubectl = Kubectl(kubeconfig, binary=f"{tools}/kubectl")
        apply_crds(kubectl)
        plane = Plane(bearing_a_token(kubectl), kubectl)
        plane.controllers(TUNED)
        yield plane
    finally:
        cluster_tool("down", "--name", name)


def bearing_a_token(kubectl: Kubectl) -> Path:
    """Write a kubeconfig of an account that may do everything, and return its path.

    Client certificates are verified with each request; pods, and so operators, have tokens.
    """
    system = kubectl.within("kube-system")
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    for command in (
        ("create", "serviceaccount", ACCOUNT),
        (
            "create",
            "clusterrolebinding",
            ACCOUNT,
            "--clusterrole=cluster-admin",
            f"--serviceaccount=kube-system:{ACCOUNT}",
        ),
    ):
        done = system.run(*command)
        if not done.ok:
            raise RuntimeError(done.stderr)
    token = system.run("create", "token", ACCOUNT, f"--duration={TOKEN_HOURS}h")
    config["users"][0]["user"] = {"token": token.stdout.strip()}
    path = kubectl.kubeconfig.with_name("bench.kubeconfig")
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def leftovers(alive: Callable[[int], object] = identify) -> list[str]:
    """Return the clusters of runs that were killed before they could end theirs."""
    found = ((name, _MINE.fullmatch(name)) for name in names(Home.current()))
    return [name for name, mine in found if mine and not alive(int(mine[1]))]


def on_nodes(spec: Json) -> Json:
    """Return a pod spec that goes to the simulated nodes, and to none else."""
    taint = {"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}
    return {**spec, "nodeSelector": {"type": "kwok"}, "tolerations": [taint]}
