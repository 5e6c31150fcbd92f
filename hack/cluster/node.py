"""containerd, kubelet, kube-proxy and CoreDNS: a node that runs pods."""

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import console, network, pause
from cluster.addresses import AddressPlan
from cluster.controlplane import ControlPlane, await_daemon, component_kubeconfig, kubectl
from cluster.errors import ClusterError
from cluster.layout import Layout
from cluster.process import Daemon

CNI_PLUGINS = Path("/usr/lib/cni")
_DOMAIN = "cluster.local"
_RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


@dataclass(frozen=True)
class Node:
    """Starts the components of the node.

    Attributes:
        layout: the cluster's names and paths.
        plan: its addresses.
        control: its control plane, already started.
    """

    layout: Layout
    plan: AddressPlan
    control: ControlPlane

    def start(self) -> None:
        """Start the node and wait until pods can run on it and names resolve.

        Raises:
            ClusterError: a component did not come up; the text names its log.
        """
        with console.step("Container runtime"):
            runtime = self._containerd()
            await_daemon(runtime, "containerd ready", self._runtime_ready)
            load_image(self.layout, pause.archive(self.layout.bin, self.layout.folder))
        with console.step("Node"):
            kubelet, proxy, dns = self._kubelet(), self._proxy(), self._coredns()
            ready = lambda: node_ready(self.layout)  # noqa: E731 -- a name for one line
            await_daemon(kubelet, f"Node {self.layout.name} Ready", ready, [runtime])
            await_daemon(dns, "DNS answers", self._dns_answers, [proxy])

    def _containerd(self) -> Daemon:
        folder = self.layout.folder / "containerd"
        folder.mkdir()
        (folder / "cni").mkdir()
        (folder / "cni" / "10-pods.conflist").write_text(json.dumps(self._cni(), indent=2))
        config = folder / "config.toml"
        config.write_text(self._containerd_config(folder))
        # The shims are found on PATH, and so is runc.
        path = os.pathsep.join([str(self.layout.bin), os.environ["PATH"], "/usr/sbin", "/sbin"])
        return self.control.launcher.start(
            "containerd", [self.layout.program("containerd"), "--config", str(config)], path=path
        )

    def _containerd_config(self, folder: Path) -> str:
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would fail.
        return f"""version = 3
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "{self.layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.metadata.v1.bolt"]
no_sync = true

[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "{folder}/verifiers"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause.IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{folder}/cni"
use_internal_loopback = true

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
Root = "{folder}/runc"
SystemdCgroup = false
"""

    def _cni(self) -> Mapping[str, Any]:
        # ptp rather than a bridge: pods of one bridge answer each other past the rules of
        # Services, unless the kernel has br_netfilter.
        return {
            "cniVersion": "1.0.0",
            "name": self.plan.interface,
            "plugins": [
                {
                    "type": "ptp",
                    "mtu": 1500,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.layout.folder / "containerd" / "addresses"),
                        "ranges": [[{"subnet": self.plan.pods}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }

    def _kubelet(self) -> Daemon:
        layout = self.layout
        user = f"system:node:{layout.name}"
        client = self._client("kubelet", user, "system:nodes")
        config = layout.folder / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_config(), indent=2))
        return self.control.launcher.start(
            "kubelet",
            [
                layout.program("kubelet"),
                f"--config={config}",
                f"--kubeconfig={client}",
                f"--root-dir={layout.folder / 'kubelet'}",
                f"--hostname-override={layout.name}",
                f"--node-ip={self.plan.node}",
            ],
        )

    def _kubelet_config(self) -> Mapping[str, Any]:
        layout, authority = self.layout, self.layout.authority
        hosts = (f"DNS:{layout.name}", f"IP:{self.plan.node}")
        serving = authority.issue("kubelet", f"system:node:{layout.name}", hosts=hosts)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.plan.node,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.ca.cert)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.cert),
            "tlsPrivateKeyFile": str(serving.key),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.plan.interface}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [self.plan.node],
            "clusterDomain": _DOMAIN,
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            # A development machine is often nearly full: images stay, and only memory evicts.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": False,
            "maxPods": 200,
            # Lowering it needs CAP_SYS_RESOURCE.
            "oomScoreAdj": 0,
            "podLogsDir": str(layout.folder / "logs" / "pods"),
            "resolvConf": str(resolver_file()),
            "volumePluginDir": str(layout.folder / "kubelet" / "volume-plugins"),
            # Status changes reach the API server at once, also when a hundred pods start.
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
        }

    def _proxy(self) -> Daemon:
        client = self._client("kube-proxy", "system:kube-proxy")
        config = self.layout.folder / "kube-proxy.json"
        content = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(client)},
            "mode": "nftables",
            "clusterCIDR": self.plan.pods,
            "hostnameOverride": self.layout.name,
            # Zero leaves the kernel's own limits, which need not be writable.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpCloseWaitTimeout": "0s",
                "tcpEstablishedTimeout": "0s",
            },
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "oomScoreAdj": 0,
        }
        config.write_text(json.dumps(content, indent=2))
        program = self.layout.program("kube-proxy")
        return self.control.launcher.start("kube-proxy", [program, f"--config={config}"])

    def _coredns(self) -> Daemon:
        client = self._client("coredns", "system:coredns")
        rights = self.layout.folder / "coredns-rights.json"
        rights.write_text(json.dumps(_dns_rights()))
        if kubectl(self.layout, "apply", "-f", str(rights)) is None:
            raise ClusterError("the rights of CoreDNS could not be created")
        corefile = self.layout.folder / "Corefile"
        corefile.write_text(
            f""".:53 {{
  bind {self.plan.node}
  errors
  cache 5
  loadbalance
  kubernetes {_DOMAIN} in-addr.arpa {{
    kubeconfig {client} cluster
    pods insecure
    ttl 5
    fallthrough in-addr.arpa
  }}
  forward . {resolver_file()}
}}
"""
        )
        program = self.layout.program("coredns")
        return self.control.launcher.start("coredns", [program, "-conf", str(corefile)])

    def _client(self, name: str, user: str, group: str = "") -> Path:
        return component_kubeconfig(self.layout, self.control.endpoints.server, name, user, group)

    def _runtime_ready(self) -> bool:
        try:
            ctr(self.layout, "version")
        except ClusterError:
            return False
        return True

    def _dns_answers(self) -> bool:
        return resolves(f"kubernetes.default.svc.{_DOMAIN}", self.plan.node)


def node_ready(layout: Layout) -> bool:
    """Tell whether the node has the condition Ready."""
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return kubectl(layout, "get", "node", layout.name, "-o", path) == "True"


def ctr(layout: Layout, *arguments: str) -> str:
    """Return what the container runtime's client prints.

    Raises:
        ClusterError: it failed.
    """
    address = ("--address", str(layout.containerd_socket), "--namespace", "k8s.io")
    return network.run(layout.program("ctr"), *address, *arguments)


def load_image(layout: Layout, archive: Path) -> None:
    """Import an image archive (docker-archive or OCI, tar) into the node.

    Raises:
        ClusterError: the runtime refused it.
    """
    try:
        ctr(layout, "images", "import", str(archive))
    except ClusterError as error:
        raise ClusterError(f"{archive} cannot be used as an image archive: {error}") from error


def resolver_file() -> Path:
    """Return the file that names the machine's resolvers.

    Where systemd-resolved runs, the usual file names only a loopback address, which the node's
    network does not have, and the real ones are in another file.
    """
    return next((path for path in _RESOLVERS if path.exists()), _RESOLVERS[-1])


def resolves(name: str, server: str) -> bool:
    """Ask a DNS server for an IPv4 address and tell whether it gave one."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    # Id 1, recursion desired, one question: type A, class IN.
    query = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1.0)
        try:
            channel.sendto(query, (server, 53))
            answer = channel.recv(512)
        except OSError:
            return False
    _, flags, _, answers = struct.unpack(">4H", answer[:8])
    return bool(flags & 0xF == 0 and answers)


def _dns_rights() -> Mapping[str, Any]:
    name = {"name": "system:coredns"}
    reads = {"verbs": ["list", "watch"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": name,
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], **reads},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], **reads},
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": name,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", **name}],
    }
    return {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
