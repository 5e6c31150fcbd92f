"""Builds images: with docker where it works, else with buildah on a base made by debootstrap.

Either way the result is an archive that any cluster can load, beside a file with its id.
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster import apt, console
from cluster.errors import ClusterError
from cluster.home import Home, locked
from cluster.packages import IMAGE_PACKAGES, ensure_packages, need_root

# Debian's release with Python 3.11, the oldest that the project supports.
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_USELESS = (
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
_NAME = re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Request:
    """An image to build.

    Attributes:
        name: name and tag.
        file: the Containerfile.
        context: folder that it copies from.
        target: stage to build; empty for the last one.
        build_args: values of its ``ARG`` lines.
    """

    name: str
    file: Path
    context: Path
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ClusterError(f"image name {self.name!r}: write it as name:tag, in lower case")
        if not self.file.is_file():
            raise ClusterError(f"{self.file}: no such Containerfile")

    def arguments(self) -> list[str]:
        """Return the arguments that docker and buildah share."""
        values = (f"--build-arg={key}={value}" for key, value in self.build_args.items())
        target = [f"--target={self.target}"] if self.target else []
        return [*values, *target, f"--file={self.file}", f"--tag={self.name}", str(self.context)]


def archive_of(home: Home, name: str) -> Path:
    """Return the path of an image's archive, built or not."""
    return home.images / (re.sub(r"[/:]", "_", name) + ".tar")


def id_of(archive: Path) -> str:
    """Return the id of the image in an archive of ours; empty if it is somebody else's."""
    path = archive.with_suffix(".id")
    return path.read_text().strip() if path.exists() else ""


def docker_works() -> bool:
    """Tell whether there is a docker that reaches its daemon."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def build(home: Home, request: Request) -> Path:
    """Build an image and return its archive.

    Layers are cached by docker or buildah, so building again what did not change is quick.

    Raises:
        ClusterError: a prerequisite is missing, or the build failed.
    """
    home.images.mkdir(parents=True, exist_ok=True)
    builder: Docker | Buildah = Docker() if docker_works() else Buildah(home)
    log = home.images / f"{archive_of(home, request.name).stem}.log"
    argv = builder.command(request)
    console.run_logged(f"Building image {request.name}", argv, log)
    identity = builder.identity(request.name)
    archive = archive_of(home, request.name)
    if archive.exists() and id_of(archive) == identity:
        return archive
    with (
        console.step(f"Writing {archive}"),
        tempfile.TemporaryDirectory(dir=home.images) as scratch,
    ):
        draft = Path(scratch) / archive.name
        builder.save(request.name, draft)
        archive.with_suffix(".id").unlink(missing_ok=True)
        draft.replace(archive)
        archive.with_suffix(".id").write_text(identity)
    return archive


class Docker:
    """Builds with docker, on the base that the Containerfile names."""

    def command(self, request: Request) -> list[str]:
        """Return the command that builds."""
        return ["docker", "build", *request.arguments()]

    def identity(self, name: str) -> str:
        """Return the id of an image that was built."""
        return _output("docker", "image", "inspect", "--format={{.Id}}", name)

    def save(self, name: str, archive: Path) -> None:
        """Write an image that was built as an archive."""
        _output("docker", "save", f"--output={archive}", name)


@dataclass(frozen=True)
class Buildah:
    """Builds without a daemon; its base image is made here, as no registry may be in reach.

    Attributes:
        home: where its storage is.
    """

    home: Home

    def command(self, request: Request) -> list[str]:
        """Return the command that builds; makes the base image first if it is needed."""
        ensure_packages(self.home, IMAGE_PACKAGES)
        arguments = request.build_args
        if "BASE_IMAGE" not in arguments and "BASE_IMAGE" in request.file.read_text():
            base = base_image(self.home)
            request = replace(request, build_args={**arguments, "BASE_IMAGE": base})
        # Without chroot isolation it needs runc to do what this machine may not allow.
        how = ("--layers", "--isolation=chroot", "--network=host", "--pull=false")
        return [*_buildah(self.home), "build", *how, *request.arguments()]

    def identity(self, name: str) -> str:
        """Return the id of an image that was built."""
        found = json.loads(_output(*_buildah(self.home), "images", "--json", f"localhost/{name}"))
        return str(found[0]["id"])

    def save(self, name: str, archive: Path) -> None:
        """Write an image that was built as an archive, under the name that a node gives it."""
        target = f"docker-archive:{archive}:docker.io/{name}"
        _output(*_buildah(self.home), "push", "--quiet", name, target)


def base_image(home: Home) -> str:
    """Make the base image if it is missing, and return its name.

    It is Debian with Python, from the mirror that this machine's own package manager uses.

    Raises:
        ClusterError: a prerequisite is missing, or its packages could not be fetched.
    """
    need_root("to make the base image")
    ensure_packages(home, IMAGE_PACKAGES)
    recipe = f"{_SUITE} {_PACKAGES} {_USELESS}"
    name = f"localhost/agentcorps/base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with locked(home.locks / "base-image", "it makes the base image"):
        if _succeeds(*_buildah(home), "inspect", "--type=image", name):
            return name
        home.images.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.images, prefix="base-") as scratch:
            _make_base(home, Path(scratch) / "root", name)
    return name


def _make_base(home: Home, root: Path, name: str) -> None:
    console.run_logged(
        f"Fetching Debian {_SUITE} with Python for the base image",
        [
            "debootstrap", "--variant=minbase", "--force-check-gpg", f"--include={_PACKAGES}",
            _SUITE, str(root), apt.mirror(),
        ],
        home.images / "base.log",
    )  # fmt: skip
    for folder in _USELESS:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    with console.step("Base image"):
        tool = _buildah(home)
        container = _output(*tool, "from", "scratch")
        _output(*tool, "add", "--quiet", container, str(root), "/")
        _output(*tool, "config", "--cmd=python3", container)
        _output(*tool, "commit", "--quiet", "--rm", container, name)


def _buildah(home: Home) -> Sequence[str]:
    # The run root says what is mounted now, so it must not outlive a reboot.
    run = f"/run/agentcorps-images-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"
    return ("buildah", "--root", str(home.images / "storage"), "--runroot", run)


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()[-400:]}")
    return done.stdout.strip()
