"""Signals to the components of the test's own local control plane, by the ids it wrote down."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.process import Daemon, Launcher
from support.poll import until


class Component:
    """etcd, kube-apiserver or kube-controller-manager of the cluster that a kubeconfig is of."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        """Find it by the cluster's folder, which is where hack/cluster keeps the kubeconfig."""
        folder = kubeconfig.parent
        self._launcher = Launcher(folder / "run", folder / "logs")
        self._daemon: Daemon = self._launcher.daemon(name)
        self._name = name

    @property
    def known(self) -> bool:
        """Whether the cluster is one of hack/cluster's."""
        return self._daemon.alive()

    def stop(self) -> list[str]:
        """End it as a crash would; returns the command that starts it again."""
        pid = self._pid()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        os.kill(pid, signal.SIGKILL)
        self._daemon.stop()
        # Its first thread is dead; the ports are free only when the last one is, too.
        until(lambda: len(list(Path("/proc").glob(f"{pid}/task/*"))) <= 1, "end of it", every=0.01)
        return command

    def start(self, command: list[str]) -> None:
        """Start it again."""
        self._launcher.start(self._name, command)

    def restart(self) -> None:
        """End it and start it at once."""
        self.start(self.stop())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still for a while."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _pid(self) -> int:
        identity = self._daemon.identity()
        assert identity is not None
        assert identity.alive()
        return identity.pid
