"""Names and paths of one local cluster, and what is remembered of it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cluster.errors import ClusterError
from cluster.home import Home
from cluster.pki import Authority
from cluster.process import Daemon, Launcher

Mode = Literal["node", "control-plane"]
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class State:
    """What a start decided and every later call needs to know.

    Attributes:
        mode: with a node that runs pods, or the control plane alone.
        index: number of the address plan; -1 without a node.
        server: URL of the API server.
        daemons: the components that were started, in order.
    """

    mode: Mode
    index: int
    server: str
    daemons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Names and paths of one local cluster.

    Attributes:
        name: its name.
        folder: everything that it writes is below it.
        bin: folder of the programs that it runs.
    """

    name: str
    folder: Path
    bin: Path

    @classmethod
    def of(cls, home: Home, name: str, bin_folder: Path) -> "Layout":
        """Return the layout of a cluster by its name.

        Raises:
            ClusterError: the name cannot be one.
        """
        if not _NAME.fullmatch(name):
            raise ClusterError(
                f"--name {name!r}: use lower-case letters, digits and '-', "
                "starting with a letter, 32 characters at most"
            )
        return cls(name, home.cluster(name), bin_folder)

    @property
    def context(self) -> str:
        """Name of the kubeconfig context."""
        return f"agentcorps-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; it exists once the API server has answered."""
        return self.folder / "kubeconfig"

    @property
    def authority(self) -> Authority:
        """The cluster's certificates."""
        return Authority(self.folder / "pki")

    @property
    def netns(self) -> Path:
        """File of the node's network namespace."""
        return self.folder / "netns"

    @property
    def containerd_socket(self) -> Path:
        """Socket of the node's container runtime."""
        return self.folder / "containerd" / "containerd.sock"

    def program(self, name: str) -> str:
        """Return the path of a program."""
        return str(self.bin / name)

    def launcher(self, *, cgroups: tuple[Path, ...] = (), netns: Path | None = None) -> Launcher:
        """Return what starts this cluster's daemons."""
        return Launcher(self.folder / "run", self.folder / "logs", cgroups, netns)

    def daemon(self, name: str) -> Daemon:
        """Return a daemon of this cluster by its name."""
        return self.launcher().daemon(name)

    def read_state(self) -> State | None:
        """Return what the last start decided; None if there was none that got so far."""
        path = self.folder / "state.json"
        try:
            content = json.loads(path.read_text())
            return State(**{**content, "daemons": tuple(content["daemons"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def write_state(self, state: State) -> None:
        """Remember what this start decided, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "state.new"
        draft.write_text(json.dumps(asdict(state)))
        draft.replace(self.folder / "state.json")
