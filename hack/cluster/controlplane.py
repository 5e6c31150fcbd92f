"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import console
from cluster.errors import ClusterError
from cluster.layout import Layout
from cluster.pki import Pair
from cluster.ports import free_ports
from cluster.process import Daemon, Launcher

_ISSUER = "https://kubernetes.default.svc.cluster.local"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Endpoints:
    """Where a control plane listens.

    Attributes:
        address: the API server's only address.
        services: the range of Service addresses, CIDR.
        api_port: the API server's port.
        etcd_port: etcd's port for clients, on loopback.
        peer_port: etcd's port for members, on loopback.
    """

    address: str
    services: str
    api_port: int = 6443
    etcd_port: int = 2379
    peer_port: int = 2380

    @classmethod
    def on_loopback(cls) -> "Endpoints":
        """Return endpoints on ports of the loopback address that are free now."""
        return cls(_LOOPBACK, "10.96.0.0/16", *free_ports(3))

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.api_port}"


@dataclass(frozen=True)
class ControlPlane:
    """Starts the components of a control plane.

    Attributes:
        layout: the cluster's names and paths.
        endpoints: where it listens.
        launcher: starts its daemons.
    """

    layout: Layout
    endpoints: Endpoints
    launcher: Launcher

    def start(self, *, scheduler: bool) -> None:
        """Start the control plane and wait until it can be used.

        Args:
            scheduler: start the scheduler too; without nodes it has nothing to do.

        Raises:
            ClusterError: a component did not come up; the text names its log.
        """
        authority = self.layout.authority
        with console.step("Certificates"):
            authority.create()
            admin = authority.issue("admin", "agentcorps-admin", group="system:masters")
        with console.step(f"API server at {self.endpoints.server}"):
            started = [self._etcd(), self._apiserver()]
            draft = authority.kubeconfig(
                self.layout.folder / "admin.conf",
                self.layout.context,
                self.endpoints.server,
                admin,
            )
            await_daemon(started[1], "API server ready", lambda: self._api_ready(draft), started)
        with console.step("Controllers"):
            started.append(self._controllers())
            if scheduler:
                started.append(start_scheduler(self.layout, self.launcher, self.endpoints.server))
            await_daemon(
                started[2],
                "ServiceAccount default in Namespace default",
                lambda: self._has_default_account(draft),
                started,
            )
        draft.replace(self.layout.kubeconfig)

    def _etcd(self) -> Daemon:
        hosts = ("DNS:localhost", f"IP:{_LOOPBACK}")
        pair = self.layout.authority.issue("etcd", "etcd", hosts=hosts)
        client = f"https://{_LOOPBACK}:{self.endpoints.etcd_port}"
        peer = f"https://{_LOOPBACK}:{self.endpoints.peer_port}"
        return self._launch(
            "etcd",
            # The data end with the cluster: nothing has to survive a power failure.
            "--unsafe-no-fsync",
            "--name=etcd",
            f"--data-dir={self.layout.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=etcd={peer}",
            "--client-cert-auth",
            "--peer-client-cert-auth",
            *_tls(pair, "--cert-file", "--key-file"),
            *_tls(pair, "--peer-cert-file", "--peer-key-file"),
            f"--trusted-ca-file={self.layout.authority.ca.cert}",
            f"--peer-trusted-ca-file={self.layout.authority.ca.cert}",
        )

    def _apiserver(self) -> Daemon:
        ends, authority = self.endpoints, self.layout.authority
        ca = authority.ca.cert
        tokens = authority.pair("service-account")
        serving = authority.issue("apiserver", "kube-apiserver", hosts=self._server_names())
        kubelets = authority.issue("apiserver-kubelet", "kube-apiserver", group="system:masters")
        etcd = authority.issue("apiserver-etcd", "kube-apiserver")
        aggregation = authority.issue("front-proxy", "front-proxy")
        alone = ends.address == _LOOPBACK
        return self._launch(
            "kube-apiserver",
            f"--bind-address={ends.address}",
            f"--advertise-address={ends.address}",
            f"--secure-port={ends.api_port}",
            # The Service "kubernetes" may not have an endpoint on loopback.
            *(["--endpoint-reconciler-type=none"] if alone else []),
            f"--etcd-servers=https://{_LOOPBACK}:{ends.etcd_port}",
            f"--etcd-cafile={ca}",
            *_tls(etcd, "--etcd-certfile", "--etcd-keyfile"),
            f"--service-cluster-ip-range={ends.services}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--client-ca-file={ca}",
            *_tls(serving, "--tls-cert-file", "--tls-private-key-file"),
            f"--kubelet-certificate-authority={ca}",
            *_tls(kubelets, "--kubelet-client-certificate", "--kubelet-client-key"),
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={tokens.cert}",
            f"--service-account-signing-key-file={tokens.key}",
            f"--requestheader-client-ca-file={ca}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *_tls(aggregation, "--proxy-client-cert-file", "--proxy-client-key-file"),
        )

    def _server_names(self) -> list[str]:
        first = ipaddress.ip_network(self.endpoints.services)[1]
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        return [
            "DNS:localhost",
            *(f"DNS:{name}" for name in (*names, f"{names[-1]}.cluster.local")),
            *(f"IP:{address}" for address in (_LOOPBACK, self.endpoints.address, first)),
        ]

    def _controllers(self) -> Daemon:
        name = "kube-controller-manager"
        server = self.endpoints.server
        config = component_kubeconfig(self.layout, server, name, "system:kube-controller-manager")
        authority = self.layout.authority
        return self._launch(
            name,
            f"--kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={authority.pair('service-account').key}",
            f"--root-ca-file={authority.ca.cert}",
            *_tls(authority.ca, "--cluster-signing-cert-file", "--cluster-signing-key-file"),
            # The default of 20 a second makes deleting a thousand pods take a minute.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            # The default of 15 s is what a test of an HPA would wait for, each time.
            "--horizontal-pod-autoscaler-sync-period=5s",
        )

    def _launch(self, name: str, *flags: str) -> Daemon:
        return self.launcher.start(name, [self.layout.program(name), *flags])

    def _api_ready(self, kubeconfig: Path) -> bool:
        return kubectl(self.layout, "get", "--raw=/readyz", kubeconfig=kubeconfig) == "ok"

    def _has_default_account(self, kubeconfig: Path) -> bool:
        wanted = ("get", "serviceaccount/default", "-n", "default")
        return kubectl(self.layout, *wanted, kubeconfig=kubeconfig) is not None


def _tls(pair: Pair, cert_flag: str, key_flag: str) -> Sequence[str]:
    return (f"{cert_flag}={pair.cert}", f"{key_flag}={pair.key}")


def component_kubeconfig(
    layout: Layout, server: str, name: str, user: str, group: str = ""
) -> Path:
    """Issue a client certificate to a component and return its kubeconfig."""
    client = layout.authority.issue(f"{name}-client", user, group=group)
    return layout.authority.kubeconfig(layout.folder / f"{name}.conf", "cluster", server, client)


def start_scheduler(layout: Layout, launcher: Launcher, server: str) -> Daemon:
    """Start the scheduler of a running control plane."""
    name = "kube-scheduler"
    config = component_kubeconfig(layout, server, name, "system:kube-scheduler")
    return launcher.start(
        name,
        [
            layout.program(name),
            f"--kubeconfig={config}",
            "--leader-elect=false",
            "--secure-port=0",
            # The default of 50 a second would be what a scale test measures.
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
        ],
    )


def await_daemon(
    subject: Daemon, what: str, ready: console.Condition, others: Sequence[Daemon] = ()
) -> None:
    """Wait for a condition while the daemons that it depends on live.

    Args:
        subject: the daemon whose log explains a failure.
        what: the condition, for people.
        ready: says whether it holds.
        others: more daemons that must live.

    Raises:
        ClusterError: a daemon ended or the condition did not come; with the log's last lines.
    """
    watched = [subject, *others]

    def failed() -> str | None:
        dead = [one.name for one in watched if not one.alive()]
        return f"{', '.join(dead)} ended" if dead else None

    try:
        console.wait_until(what, ready, seconds=120.0, failed=failed)
    except ClusterError as error:
        culprit = next((one for one in watched if not one.alive()), subject)
        raise ClusterError(
            f"{error}; the whole log is {culprit.log}\n{console.tail(culprit.log)}"
        ) from error


def kubectl(layout: Layout, *arguments: str, kubeconfig: Path | None = None) -> str | None:
    """Return what kubectl prints, or None if it failed."""
    done = subprocess.run(
        [
            layout.program("kubectl"),
            f"--kubeconfig={kubeconfig or layout.kubeconfig}",
            "--request-timeout=5s",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None
