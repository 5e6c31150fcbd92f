"""Builds the cluster's programs from Go modules, once, and keeps them.

They are kept under a hash of everything that decides what is built, so that a change of a
version builds anew and an unchanged checkout builds nothing.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster import console
from cluster.errors import ClusterError
from cluster.home import Home, locked

GO_FOLDER = Path(__file__).parent / "go"
_GO_MINIMUM = (1, 26)
CONTROL_PLANE = ("kubernetes",)
NODE = ("kubernetes", "containerd", "node")
EVERYDAY = (*NODE, "helm")


@dataclass(frozen=True)
class Recipe:
    """How one group of programs is built, by one call of the Go compiler.

    Attributes:
        packages: the main packages.
        module: folder of the Go module that requires them.
        programs: the files that result.
        links: names that are symbolic links to the first program.
        ldflags: flags of the linker.
        tags: build tags.
    """

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    module: str = "."
    links: tuple[str, ...] = ()
    ldflags: str = "-s -w"
    tags: str = ""


def _kubernetes_ldflags() -> str:
    # A server built without them says that it is v0.0.0, which clients take for ancient.
    match = re.search(r"^\tk8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", _go_mod(), re.MULTILINE)
    if match is None:
        raise ClusterError(f"{GO_FOLDER / 'go.mod'} does not require k8s.io/kubernetes")
    values = {
        "gitVersion": match[1],
        "gitMajor": match[2],
        "gitMinor": match[3],
        "gitTreeState": "clean",
    }
    stamped = (f"-X k8s.io/component-base/version.{key}={to}" for key, to in values.items())
    return " ".join(["-s -w", *stamped])


def _go_mod() -> str:
    return (GO_FOLDER / "go.mod").read_text()


def recipes() -> dict[str, Recipe]:
    """Return the groups of programs by name, in the order in which they are built."""
    return {
        "kubernetes": Recipe(
            packages=("./kubernetes",),
            programs=("kubernetes",),
            links=(
                "etcd",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            ),
            ldflags=_kubernetes_ldflags(),
        ),
        "containerd": Recipe(
            packages=(
                "github.com/containerd/containerd/v2/cmd/containerd",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/ctr",
            ),
            programs=("containerd", "containerd-shim-runc-v2", "ctr"),
            module="containerd",
            tags="no_btrfs,no_zfs,no_devmapper,no_aufs",
        ),
        "node": Recipe(packages=("./coredns", "./pause"), programs=("coredns", "pause")),
        "helm": Recipe(packages=("helm.sh/helm/v3/cmd/helm",), programs=("helm",)),
        "kwok": Recipe(packages=("sigs.k8s.io/kwok/cmd/kwok",), programs=("kwok",)),
        "prometheus": Recipe(
            packages=("github.com/prometheus/prometheus/cmd/prometheus",),
            programs=("prometheus",),
            module="prometheus",
            tags="remove_all_sd",
        ),
    }


def key(sources: Iterable[tuple[str, bytes]], recipe_text: str) -> str:
    """Return the hash that names the folder of built programs.

    Args:
        sources: names and contents of the files that are compiled.
        recipe_text: the build recipes and the platform, as text.
    """
    digest = hashlib.sha256(recipe_text.encode())
    for name, content in sorted(sources):
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def bin_folder(home: Home) -> Path:
    """Return the folder of the programs that this checkout builds, built or not."""
    files = (path for path in GO_FOLDER.rglob("*") if path.is_file())
    sources = [(str(path.relative_to(GO_FOLDER)), path.read_bytes()) for path in files]
    return home.tools / key(sources, f"{recipes()} {platform.machine()}") / "bin"


def built(folder: Path, groups: Iterable[str]) -> bool:
    """Tell whether all programs of some groups are in a folder."""
    known = recipes()
    needed = [known[name] for name in groups]
    return all(
        (folder / name).exists() for recipe in needed for name in (*recipe.programs, *recipe.links)
    )


def ensure(home: Home, groups: Iterable[str]) -> Path:
    """Build what is missing, and return the folder of programs.

    Args:
        home: where they are kept.
        groups: names of recipes.

    Raises:
        ClusterError: Go is missing or too old, or a build failed.
    """
    folder = bin_folder(home)
    wanted = {name: recipe for name, recipe in recipes().items() if name in set(groups)}
    if built(folder, wanted):
        return folder
    _check_go()
    with locked(home.locks / "tools", "it builds the cluster's programs"):
        for name, recipe in wanted.items():
            if not built(folder, (name,)):
                _build(folder, name, recipe)
    return folder


def _check_go() -> None:
    if sys.platform != "linux":
        raise ClusterError("needs Linux; elsewhere use CLUSTER=kind or CLUSTER=existing")
    wanted = ".".join(map(str, _GO_MINIMUM))
    if shutil.which("go") is None:
        raise ClusterError(
            f"needs Go {wanted} or newer to build Kubernetes; install it, "
            "or use CLUSTER=kind or CLUSTER=existing"
        )
    found = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=GO_FOLDER, capture_output=True, text=True, check=False
    )
    match = re.match(r"go(\d+)\.(\d+)", found.stdout)
    if match is None or (int(match[1]), int(match[2])) < _GO_MINIMUM:
        said = found.stdout.strip() or found.stderr.strip()[-200:]
        raise ClusterError(f"needs Go {wanted} or newer to build Kubernetes, found: {said}")


def _build(folder: Path, name: str, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob("build-*"):  # of a build that was killed; we hold the lock
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as scratch:
        console.run_logged(
            f"Building {name}: {', '.join((*recipe.programs, *recipe.links))}",
            [
                "go", "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false",
                "-tags", recipe.tags, "-ldflags", recipe.ldflags,
                "-o", f"{scratch}{os.sep}", *recipe.packages,
            ],
            folder.parent / f"{name}.log",
            cwd=GO_FOLDER / recipe.module,
            env={"CGO_ENABLED": "0"},
            progress=_progress,
        )  # fmt: skip
        for program in recipe.programs:
            (Path(scratch) / program).replace(folder / program)
    for link in recipe.links:
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(recipe.programs[0])


def _progress(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    compiled = [line for line in lines if line and " " not in line]
    if compiled:
        return f", {len(compiled)} packages compiled, last {compiled[-1]}"
    return f", {len(lines)} modules downloaded" if lines else ""
