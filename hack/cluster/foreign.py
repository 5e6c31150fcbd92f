"""Clusters that other programs run: kind, and whatever the current kubeconfig names."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import console
from cluster.errors import ClusterError
from cluster.home import Home


@dataclass(frozen=True)
class Kind:
    """A cluster that kind runs in docker.

    Attributes:
        home: where its kubeconfig is kept.
        name: its name.
    """

    home: Home
    name: str

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.home.cluster(self.name) / "kubeconfig"

    def prepare(self) -> Path | None:
        """Check that the programs are there."""
        _need("kind", "docker", "kubectl", "helm")
        return None

    def up(self) -> Path | None:
        """Create the cluster, unless there is one of this name that answers."""
        self.prepare()
        if not self._exists():
            self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
            console.run_logged(
                f"Creating kind cluster {self.name}",
                [
                    "kind", "create", "cluster", f"--name={self.name}",
                    f"--kubeconfig={self.kubeconfig}", "--wait=180s",
                ],
                self.kubeconfig.with_name("kind.log"),
            )  # fmt: skip
        self._write_kubeconfig()
        if not _answers(self.kubeconfig):
            raise ClusterError(f"kind cluster {self.name} does not answer; end it with 'down'")
        console.say(f"Cluster {self.name} is up.")
        return self.kubeconfig

    def down(self) -> None:
        """Delete the cluster."""
        _need("kind")
        _run("kind", "delete", "cluster", f"--name={self.name}")
        shutil.rmtree(self.kubeconfig.parent, ignore_errors=True)
        console.say(f"Cluster {self.name} is gone.")

    def status(self) -> bool:
        """Print whether it answers."""
        _need("kind", "kubectl")
        good = self._exists() and _answers(self.kubeconfig)
        print(f"Cluster {self.name} (kind) {'answers' if good else 'does not run'}")
        print(f"  kubeconfig {self.kubeconfig}")
        return good

    def load(self, archive: Path) -> None:
        """Load an image into every node."""
        with console.step(f"Loading {archive.name}"):
            _run("kind", "load", "image-archive", str(archive), f"--name={self.name}")

    def add_nodes(self, count: int) -> None:
        """Refuse: simulated nodes need the local cluster."""
        raise ClusterError(f"cannot add {count} simulated nodes to kind: use CLUSTER=local")

    def environment(self) -> Mapping[str, str]:
        """Return the cluster's kubeconfig."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def _exists(self) -> bool:
        return self.name in _run("kind", "get", "clusters").split()

    def _write_kubeconfig(self) -> None:
        context = f"agentcorps-{self.name}"
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(_run("kind", "get", "kubeconfig", f"--name={self.name}"))
        own = f"--kubeconfig={self.kubeconfig}"
        _run("kubectl", own, "config", "rename-context", f"kind-{self.name}", context)


class Existing:
    """The cluster of the current kubeconfig context; it is used, never started or ended."""

    def prepare(self) -> Path | None:
        """Check that the programs are there."""
        _need("kubectl", "helm")
        return None

    def up(self) -> Path | None:
        """Check that it answers."""
        _need("kubectl")
        if not _answers(None):
            raise ClusterError("the cluster of the current kubeconfig context does not answer")
        return None

    def down(self) -> None:
        """Refuse: it is not ours."""
        raise ClusterError("CLUSTER=existing: a cluster that was not started here is not ended")

    def status(self) -> bool:
        """Print whether it answers."""
        _need("kubectl")
        good = _answers(None)
        print(f"The current kubeconfig context {'answers' if good else 'does not answer'}")
        return good

    def load(self, archive: Path) -> None:
        """Refuse: only its owner knows which registry it pulls from."""
        raise ClusterError(
            f"cannot load {archive.name} into an existing cluster: push it to a registry that the "
            "cluster pulls from"
        )

    def add_nodes(self, count: int) -> None:
        """Refuse: it is not ours."""
        raise ClusterError(f"cannot add {count} simulated nodes here: use CLUSTER=local")

    def environment(self) -> Mapping[str, str]:
        """Return nothing: the current settings are the ones that count."""
        return {}


def _answers(kubeconfig: Path | None) -> bool:
    own = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    argv = ["kubectl", *own, "--request-timeout=10s", "get", "--raw=/readyz"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout == "ok"


def _need(*programs: str) -> None:
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        raise ClusterError(f"needs {' and '.join(absent)} on PATH; install, or use CLUSTER=local")


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()[-400:]}")
    return done.stdout
