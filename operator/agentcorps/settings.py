"""The operator's settings: the only place that reads the environment."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentcorps.api.names import (
    DEFAULT_AGING_SECONDS,
    DEFAULT_MIN_RUNTIME_SECONDS,
    DEFAULT_UNSCHEDULABLE_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_LOG_FORMATS = ("json", "text")
_SECRETS = ("Off", "Labelled", "Any")
_MAX_PORT = 65535


class SettingsError(ValueError):
    """A variable has a value that cannot be used; the message is one line naming it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between installations. Times are in seconds."""

    namespace: str
    """The operator's own: its Lease, its gateway Service and its TLS Secret live there."""
    identity: str
    """Name of this process in the Lease, unique among living ones (in a cluster: the pod name)."""
    pod_ip: str
    """Address that the gateway's EndpointSlice gets; empty: this process publishes none."""
    watch_namespaces: tuple[str, ...]
    """Namespaces to serve; empty means all."""
    gateway_port: int
    probe_port: int
    metrics_port: int | None
    """Port of the metrics; None: they are not served."""
    gateway_url: str
    """Where agents reach the gateway."""
    secrets: str
    """What may be done with Secrets on behalf of Tasks: Off, Labelled or Any."""
    prometheus_servers: tuple[str, ...]
    """Origins that policies of type Prometheus may name; empty means all but loopback and link."""
    log_level: str
    log_format: str
    lease_seconds: float
    renew_seconds: float
    retry_seconds: float
    kubeconfig: str | None
    """Path of the kubeconfig (several joined as for kubectl); None: the pod's own credentials."""
    context: str | None
    """Context of the kubeconfig; None: its current one."""
    aging_seconds: float
    """Time of waiting that is worth one step of a Task's priority."""
    min_runtime_seconds: float
    """Age of an agent from which on its place in a quota may be given to another pool."""
    unschedulable_seconds: float
    """How long a pod may find no node before its pool has reached the cluster's capacity."""

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str] | None = None, namespace_file: Path = _NAMESPACE_FILE
    ) -> Settings:
        """Read the settings.

        Args:
            environ: Variables to read; the process's own by default.
            namespace_file: Where a pod finds its namespace.

        Raises:
            SettingsError: A variable's value cannot be used.
        """
        reader = _Reader(os.environ if environ is None else environ)
        namespace = reader.namespace(namespace_file)
        port = reader.port("AGENTCORPS_GATEWAY_PORT", 8443)
        lease, renew, retry = reader.lease()
        default_url = f"https://agentcorps-gateway.{namespace}.svc:{port}"
        return cls(
            namespace=namespace,
            identity=reader.text("AGENTCORPS_IDENTITY", f"{socket.gethostname()}-{os.getpid()}"),
            pod_ip=reader.address("AGENTCORPS_POD_IP"),
            watch_namespaces=reader.namespaces("AGENTCORPS_WATCH_NAMESPACES"),
            gateway_port=port,
            probe_port=reader.port("AGENTCORPS_PROBE_PORT", 8080),
            metrics_port=reader.port_or_none("AGENTCORPS_METRICS_PORT", 8444),
            gateway_url=reader.https_url("AGENTCORPS_GATEWAY_URL", default_url),
            secrets=reader.choice("AGENTCORPS_SECRETS", _SECRETS, "Any"),
            prometheus_servers=reader.origins("AGENTCORPS_PROMETHEUS_SERVERS"),
            log_level=reader.choice("AGENTCORPS_LOG_LEVEL", _LOG_LEVELS, "INFO"),
            log_format=reader.choice("AGENTCORPS_LOG_FORMAT", _LOG_FORMATS, "json"),
            lease_seconds=lease,
            renew_seconds=renew,
            retry_seconds=retry,
            kubeconfig=reader.kubeconfig(),
            context=reader.text("AGENTCORPS_CONTEXT", "") or None,
            aging_seconds=reader.seconds("AGENTCORPS_AGING_SECONDS", DEFAULT_AGING_SECONDS),
            min_runtime_seconds=reader.seconds(
                "AGENTCORPS_MIN_RUNTIME_SECONDS", DEFAULT_MIN_RUNTIME_SECONDS
            ),
            unschedulable_seconds=reader.seconds(
                "AGENTCORPS_UNSCHEDULABLE_SECONDS", DEFAULT_UNSCHEDULABLE_SECONDS
            ),
        )


class _Reader:
    """Reads single variables; an empty one counts as absent, as Helm writes them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        for word in allowed:
            if word.lower() == value.lower():
                return word
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")

    def port(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= _MAX_PORT:
            raise SettingsError(f"{name} must be a port from 1 to {_MAX_PORT}, not {value!r}")
        return int(value)

    def port_or_none(self, name: str, default: int) -> int | None:
        return None if self.text(name, "") == "0" else self.port(name, default)

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", value, re.ASCII) or float(value) <= 0:
            raise SettingsError(f"{name} must be a positive number of seconds, not {value!r}")
        return float(value)

    def lease(self) -> tuple[float, float, float]:
        duration = self.seconds("AGENTCORPS_LEASE_SECONDS", 15.0)
        renew = self.seconds("AGENTCORPS_LEASE_RENEW_SECONDS", 10.0)
        retry = self.seconds("AGENTCORPS_LEASE_RETRY_SECONDS", 2.0)
        if not retry < renew < duration:
            raise SettingsError(
                "AGENTCORPS_LEASE_RENEW_SECONDS must lie between AGENTCORPS_LEASE_RETRY_SECONDS "
                f"and AGENTCORPS_LEASE_SECONDS, not {retry:g} < {renew:g} < {duration:g}"
            )
        return duration, renew, retry

    def namespaces(self, name: str) -> tuple[str, ...]:
        names = [part.strip() for part in self.text(name, "").split(",") if part.strip()]
        return tuple(self._label(name, part) for part in dict.fromkeys(names))

    def namespace(self, namespace_file: Path) -> str:
        name = "AGENTCORPS_NAMESPACE"
        value = self.text(name, "")
        if not value and namespace_file.is_file():
            value = namespace_file.read_text(encoding="utf-8").strip()
        if not value:
            raise SettingsError(f"{name} must name the operator's namespace outside of a pod")
        return self._label(name, value)

    def address(self, name: str) -> str:
        value = self.text(name, "")
        try:
            return str(ip_address(value)) if value else ""
        except ValueError:
            raise SettingsError(f"{name} must be an IP address, not {value!r}") from None

    def origins(self, name: str) -> tuple[str, ...]:
        found = [part.strip().rstrip("/").lower() for part in self.text(name, "").split(",")]
        for one in filter(None, found):
            if not _ORIGIN.fullmatch(one):
                raise SettingsError(
                    f"{name} must hold addresses such as https://prometheus.example:9090, without"
                    f" a path, not {one!r}"
                )
        return tuple(filter(None, found))

    def https_url(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(value)
            usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError(f"{name} must be an https:// URL, not {value!r}")
        return value

    def kubeconfig(self) -> str | None:
        chosen = self.text("AGENTCORPS_KUBECONFIG", "")
        if chosen:
            return chosen
        if self.text("KUBERNETES_SERVICE_HOST", ""):
            return None
        return self.text("KUBECONFIG", str(Path.home() / ".kube" / "config"))

    def _label(self, name: str, value: str) -> str:
        if not _LABEL.fullmatch(value):
            raise SettingsError(f"{name} must hold namespace names, not {value!r}")
        return value
