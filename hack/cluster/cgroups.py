"""One cgroup holds all processes of a cluster with a node.

It is how their end is found out for certain: what a daemon or a container forked is in it too,
whoever its parent is by then.
"""

import time
from pathlib import Path

from cluster.errors import ClusterError
from cluster.process import Identity, identify

_MOUNTS = Path("/proc/mounts")


def hierarchies(mounts: str) -> list[Path]:
    """Return the mount points of the cgroup hierarchies that containers use.

    Args:
        mounts: content of ``/proc/mounts``. Where version 1 hierarchies are mounted, they are
            the ones in use, whether or not version 2 is mounted beside them.
    """
    return _mounted(mounts, "cgroup") or _mounted(mounts, "cgroup2")[:1]


def create(name: str) -> tuple[Path, Path]:
    """Make the cluster's cgroup in every hierarchy.

    The daemons go into its leaf ``system``; the kubelet makes its own below the cgroup. Only one
    hierarchy tracks the daemons: they are not limited, so the others need not know them.

    Returns:
        The leaf for the daemons, and the cgroup that tracks all of the cluster's processes.

    Raises:
        ClusterError: there is no cgroup hierarchy that can be written to.
    """
    roots = hierarchies(_MOUNTS.read_text())
    if not roots:
        raise ClusterError("needs cgroups, and none are mounted (see /proc/mounts)")
    try:
        for root in roots:
            (root / name).mkdir(exist_ok=True)
            _inherit_cpuset(root, root / name)
        tracker = _tracker(roots) / name
        (tracker / "system").mkdir(exist_ok=True)
    except OSError as error:
        raise ClusterError(f"needs cgroups that it may write to: {error}") from error
    return tracker / "system", tracker


def members(name: str) -> list[Identity]:
    """Return every process that is in the cluster's cgroup or below it."""
    roots = hierarchies(_MOUNTS.read_text())
    if not roots:
        return []
    return _processes(_tracker(roots) / name)


def pods(name: str) -> list[Identity]:
    """Return the processes of the cluster's pods."""
    roots = hierarchies(_MOUNTS.read_text())
    return _processes(_tracker(roots) / name / "kubepods") if roots else []


def remove(name: str) -> None:
    """Remove the cluster's cgroups; their processes must have ended.

    Raises:
        ClusterError: one is still in use after five seconds.
    """
    deadline = time.monotonic() + 5.0
    mounts = _MOUNTS.read_text()
    # Beside version 1 hierarchies, runc makes a cgroup in version 2 as well if it is mounted.
    for root in {*hierarchies(mounts), *_mounted(mounts, "cgroup2")}:
        while (root / name).exists():
            try:
                _remove_tree(root / name)
            except OSError as error:  # the kernel lets go of ended processes a moment later
                if time.monotonic() > deadline:
                    raise ClusterError(f"cannot remove cgroup {root / name}: {error}") from error
                time.sleep(0.05)


def _mounted(mounts: str, kind: str) -> list[Path]:
    rows = [line.split() for line in mounts.splitlines()]
    return sorted({Path(row[1]) for row in rows if row[2] == kind})


def _tracker(roots: list[Path]) -> Path:
    return next((root for root in roots if root.name == "pids"), roots[0])


def _inherit_cpuset(parent: Path, child: Path) -> None:
    # In version 1 a new cpuset is empty, and nothing may enter it before it is filled.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (child / name).exists() and (parent / name).exists():
            (child / name).write_text((parent / name).read_text())


def _processes(folder: Path) -> list[Identity]:
    found = []
    for listing in folder.glob("**/cgroup.procs"):
        try:
            found += [identify(int(pid)) for pid in listing.read_text().split()]
        except FileNotFoundError:
            continue  # a container's cgroup went away meanwhile, and its processes with it
    return [one for one in found if one is not None]


def _remove_tree(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir():
            _remove_tree(child)
    folder.rmdir()
