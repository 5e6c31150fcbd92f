"""Ends a cluster and removes every trace of it, whatever state it is in."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cluster import cgroups, network
from cluster.addresses import AddressPlan, in_use
from cluster.layout import Layout
from cluster.process import Daemon, end

_MOUNTINFO = Path("/proc/self/mountinfo")
_SHIM_SOCKETS = Path("/run/containerd/s")
_CONTAINER_LOGS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
# Seconds between TERM and KILL. Nothing here has work worth waiting for.
_PATIENCE = 3.0


def down(layout: Layout) -> bool:
    """End a cluster's processes and remove its mounts, interfaces, rules and files.

    Returns:
        Whether there was anything.

    Raises:
        ClusterError: something could not be removed.
    """
    if not layout.folder.exists():
        return False
    state = layout.read_state()
    plan = AddressPlan(state.index) if state is not None and state.mode == "node" else None
    daemons = {path.stem: layout.daemon(path.stem) for path in layout.folder.glob("run/*.pid")}
    if plan is None:
        _end_daemons(daemons)
    else:
        _end_node(daemons, plan.interface)
        sockets = _shim_sockets(layout)
        _unmount(layout.folder)
        network.remove(plan)
        cgroups.remove(plan.interface)
        _remove_outside(layout, plan, sockets)
    shutil.rmtree(layout.folder)
    return True


def mount_points(mountinfo: str, folder: Path) -> list[Path]:
    """Return the mount points at or below a folder, the deepest first.

    Args:
        mountinfo: content of ``/proc/self/mountinfo``.
        folder: the folder.
    """
    points = (_unescape(line.split()[4]) for line in mountinfo.splitlines())
    inside = [point for point in points if point.is_relative_to(folder)]
    return sorted(inside, key=lambda point: len(point.parts), reverse=True)


def _unescape(text: str) -> Path:
    # The kernel writes space, tab, newline and backslash in octal.
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return Path(text)


def _end_node(daemons: dict[str, Daemon], cgroup: str) -> None:
    """End everything, in an order that lets each clean up after the one before."""
    kubelet = daemons.pop("kubelet", None)
    if kubelet is not None:
        kubelet.stop(_PATIENCE)
    end(cgroups.pods(cgroup), _PATIENCE)
    known = {daemon.identity() for daemon in daemons.values()}
    # The rest of the cgroup are the shims of the pods' containers.
    end([one for one in cgroups.members(cgroup) if one not in known], _PATIENCE)
    _end_daemons(daemons)
    end(cgroups.members(cgroup), _PATIENCE)


def _end_daemons(daemons: dict[str, Daemon]) -> None:
    etcd = daemons.pop("etcd", None)
    end([one for one in (daemon.identity() for daemon in daemons.values()) if one], _PATIENCE)
    if etcd is not None:
        etcd.stop(_PATIENCE)


def _shim_sockets(layout: Layout) -> list[Path]:
    """Return the sockets of the node's shims; a killed shim leaves its own behind."""
    found = []
    for path in (layout.folder / "containerd" / "state").glob("*/k8s.io/*/bootstrap.json"):
        with contextlib.suppress(ValueError, KeyError, FileNotFoundError):
            found.append(Path(json.loads(path.read_text())["address"].removeprefix("unix://")))
    return [path for path in found if path.parent == _SHIM_SOCKETS]


def _unmount(folder: Path) -> None:
    for point in mount_points(_MOUNTINFO.read_text(), folder):
        done = subprocess.run(["umount", str(point)], capture_output=True, check=False)
        if done.returncode:
            network.run("umount", "--lazy", str(point))


def _remove_outside(layout: Layout, plan: AddressPlan, sockets: Iterable[Path]) -> None:
    """Remove what containerd, the kubelet and CNI keep at places that cannot be configured."""
    for socket in sockets:
        socket.unlink(missing_ok=True)
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.folder):
            link.unlink()
    for result in _CNI_RESULTS.glob(f"{plan.interface}-*"):
        result.unlink()
    if in_use():
        return
    (_DEVICE_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for folder in (
        _SHIM_SOCKETS,
        _SHIM_SOCKETS.parent,
        _CONTAINER_LOGS,
        _CNI_RESULTS,
        _CNI_RESULTS.parent,
        _DEVICE_PLUGINS,
        _DEVICE_PLUGINS.parent,
    ):
        with contextlib.suppress(OSError):  # not empty: something else on this machine uses it
            folder.rmdir()
