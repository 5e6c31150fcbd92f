"""Where the cluster comes from: kind, this machine's own packages, or somebody else."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cluster import images
from cluster.errors import ClusterError
from cluster.foreign import Existing, Kind
from cluster.home import Home
from cluster.local import Local

NAMES = ("kind", "local", "existing")


class Provider(Protocol):
    """What every kind of cluster can do."""

    def prepare(self) -> Path | None:
        """Make sure that its programs are there; returns their folder unless it is on PATH."""

    def up(self) -> Path | None:
        """Start it unless it runs; returns its kubeconfig, or None for the current one."""

    def down(self) -> None:
        """End it; harmless if it does not run."""

    def status(self) -> bool:
        """Print what runs, and tell whether it can be used."""

    def load(self, archive: Path) -> None:
        """Make an image known to its nodes."""

    def add_nodes(self, count: int) -> None:
        """Add simulated nodes."""

    def environment(self) -> Mapping[str, str]:
        """Return the variables that make kubectl and helm use it."""


def choose(home: Home, wanted: str, name: str) -> Provider:
    """Return the provider that a flag or the environment asks for.

    Args:
        home: where tools and clusters are.
        wanted: ``kind``, ``local``, ``existing``, or empty to choose by what this machine has.
        name: the cluster's name.

    Raises:
        ClusterError: there is no such provider.
    """
    if not wanted:
        can_kind = shutil.which("kind") is not None and images.docker_works()
        wanted = "kind" if can_kind else "local"
    match wanted:
        case "kind":
            return Kind(home, name)
        case "local":
            return Local(home, name)
        case "existing":
            return Existing()
        case _:
            raise ClusterError(f"CLUSTER={wanted!r}: choose one of {', '.join(NAMES)}")


def exports(variables: Mapping[str, str]) -> str:
    """Return shell lines that set variables; ``PATH`` is put before what is there."""
    lines = []
    for key, value in variables.items():
        rest = ':"$PATH"' if key == "PATH" else ""
        lines.append(f"export {key}={shlex.quote(value)}{rest}")
    return "\n".join(lines)
