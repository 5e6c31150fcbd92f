"""The operator as a process of its own, outside of any cluster, on free ports of this machine."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Self

from cluster.ports import free_ports
from support.poll import until

PATIENT = {
    "AGENTCORPS_LEASE_SECONDS": "60",
    "AGENTCORPS_LEASE_RENEW_SECONDS": "40",
    "AGENTCORPS_LEASE_RETRY_SECONDS": "2",
}
"""Times of the Lease where nobody takes over: that a machine is busy must not end the operator."""

START_SECONDS = 180
"""A guard: a busy machine may need a minute."""


class OperatorProcess:
    """``python -m agentcorps.main`` against an API server, serving some namespaces only."""

    def __init__(
        self,
        kubeconfig: Path,
        namespace: str,
        log: Path,
        *,
        watch: Iterable[str] = (),
        gateway_url: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare an operator whose Lease and certificate live in ``namespace``.

        Args:
            kubeconfig: Where the API server is.
            namespace: The operator's own.
            log: Gets what it prints.
            watch: Namespaces to serve; its own by default.
            gateway_url: What agents are told; its own gateway by default.
            environ: More variables.
        """
        self.gateway_port, self.probe_port, self.metrics_port = free_ports(3)
        self.gateway_url = gateway_url or f"https://localhost:{self.gateway_port}"
        self.log = log
        self._environ = os.environ | {
            "AGENTCORPS_KUBECONFIG": str(kubeconfig),
            "AGENTCORPS_NAMESPACE": namespace,
            "AGENTCORPS_WATCH_NAMESPACES": ",".join(watch) or namespace,
            "AGENTCORPS_GATEWAY_PORT": str(self.gateway_port),
            "AGENTCORPS_PROBE_PORT": str(self.probe_port),
            "AGENTCORPS_METRICS_PORT": str(self.metrics_port),
            "AGENTCORPS_GATEWAY_URL": self.gateway_url,
            "AGENTCORPS_LEASE_SECONDS": "6",
            "AGENTCORPS_LEASE_RENEW_SECONDS": "4",
            "AGENTCORPS_LEASE_RETRY_SECONDS": "0.5",
            **(environ or {}),
        }
        self._begun = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it leads."""
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, however the test went."""
        if self._process is not None:
            self.send(signal.SIGCONT)
            self.stop()

    def start(self) -> None:
        """Start (again) and wait until the probe says ready and the log says leading."""
        self.launch()
        self.await_leading()

    def launch(self) -> None:
        """Start (again) and wait for nothing."""
        self._closed()
        self._log = self.log.open("ab")
        self._begun = self.log.stat().st_size
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agentcorps.main"],
            env=self._environ,
            stdout=self._log,
            stderr=self._log,
        )

    def await_leading(self) -> None:
        """Wait until it leads and is ready."""
        until(lambda: self.ready() and self.leading, "leader", seconds=START_SECONDS)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def leading(self) -> bool:
        """Whether its log has said, since its last start, that it leads."""
        return b'"event": "leading"' in self.log.read_bytes()[self._begun :]

    def state(self) -> str:
        """Tell whether it runs, and what it said last."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return f"{'running' if self.running else 'ended'}, last said: {lines[-1:]}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself; returns its exit code."""
        assert self._process is not None
        code = self._process.wait(timeout=seconds)
        self._closed()
        return code

    def ready(self) -> bool:
        """Whether the readiness probe answers 200."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return not self.probe("readyz")

    def alive(self) -> bool:
        """Whether the liveness probe answers 200."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return not self.probe("healthz")

    def probe(self, name: str) -> list[str]:
        """What a probe says that fails; what cannot be asked counts as failing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}/{name}") as answer:
                failing: list[str] = json.load(answer)["failing"]
        except urllib.error.HTTPError as error:
            failing = json.load(error)["failing"]
        except OSError as error:
            failing = [str(error)]
        return failing

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait(60)

    def _closed(self) -> None:
        self._process = None
        if self._log is not None:
            self._log.close()
