"""Where everything is kept: outside the checkout, in one folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import console


@dataclass(frozen=True)
class Home:
    """The folder of built tools, clusters and images.

    Attributes:
        root: ``$AGENTCORPS_HOME``, or ``~/.cache/agentcorps``.
    """

    root: Path

    @classmethod
    def current(cls) -> "Home":
        """Return the folder that the environment selects."""
        chosen = os.environ.get("AGENTCORPS_HOME")
        return cls(Path(chosen).resolve() if chosen else Path.home() / ".cache" / "agentcorps")

    @property
    def tools(self) -> Path:
        """Folder of built programs, one subfolder for each build recipe."""
        return self.root / "tools"

    @property
    def clusters(self) -> Path:
        """Folder of clusters, one subfolder each."""
        return self.root / "clusters"

    @property
    def images(self) -> Path:
        """Folder of image archives and of what they are built from."""
        return self.root / "images"

    @property
    def locks(self) -> Path:
        """Folder of lock files; they stay, as removing one could part two that wait for it."""
        return self.root / "locks"

    def cluster(self, name: str) -> Path:
        """Return the folder of one cluster."""
        return self.clusters / name


@contextmanager
def locked(path: Path, why: str) -> Iterator[None]:
    """Hold an exclusive lock; says so when another process holds it, and waits.

    The kernel drops the lock when its holder ends, so no stale lock survives a crash.

    Args:
        path: the lock file, made if missing.
        why: what the holder does, for the line that is shown while waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with console.step(f"Waiting for another process: {why}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
