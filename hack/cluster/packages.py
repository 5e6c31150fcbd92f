"""What the machine must have beyond Go: root, Linux, and a few Debian packages."""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from cluster import console
from cluster.errors import ClusterError
from cluster.home import Home, locked

_SYSTEM_FOLDERS = "/usr/sbin:/sbin"
# Package by the program, or the file, that shows that it is there.
NODE_PACKAGES: Mapping[str, str] = {
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
IMAGE_PACKAGES: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}


def need_root(purpose: str) -> None:
    """Refuse to go on without the rights to run a node.

    Args:
        purpose: what they are needed for, such as ``to run containerd and kubelet``.

    Raises:
        ClusterError: this is not Linux, or not root.
    """
    if sys.platform != "linux":
        raise ClusterError("needs Linux; elsewhere use CLUSTER=kind or CLUSTER=existing")
    if os.geteuid() != 0:
        raise ClusterError(f"needs root {purpose}; run as root or use CLUSTER=existing")


def missing(packages: Mapping[str, str]) -> list[str]:
    """Return the packages whose program or file is not on this machine."""
    search = f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}"
    return sorted(
        package
        for sign, package in packages.items()
        if not (Path(sign).exists() if sign.startswith("/") else shutil.which(sign, path=search))
    )


def ensure_packages(home: Home, packages: Mapping[str, str]) -> None:
    """Install the Debian packages that are missing, if any.

    Raises:
        ClusterError: they are missing and cannot be installed.
    """
    if not missing(packages):
        return
    with locked(home.locks / "packages", "it installs packages"):
        wanted = missing(packages)
        if wanted:
            _install(home, wanted)


def _install(home: Home, wanted: Iterable[str]) -> None:
    names = list(wanted)
    if shutil.which("apt-get") is None:
        raise ClusterError(f"needs {', '.join(names)}; install them (there is no apt-get here)")
    if os.geteuid() != 0:
        raise ClusterError(f"needs the packages {', '.join(names)}; install them as root")
    log = home.root / "packages.log"
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    console.run_logged("Updating the package lists", ["apt-get", "update"], log, env=env)
    console.run_logged(
        f"Installing {', '.join(names)}",
        ["apt-get", "install", "--yes", "--no-install-recommends", *names],
        log,
        env=env,
    )
