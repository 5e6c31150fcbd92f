"""The image of pod sandboxes: one small program, packed as an archive without any image tool."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

IMAGE = "agentcorps.dev/pause:1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def archive(bin_folder: Path, folder: Path) -> Path:
    """Write the image as a docker-archive and return its path.

    Args:
        bin_folder: where the program ``pause`` is.
        folder: where the archive goes.
    """
    layer = _tar({"pause": (bin_folder / "pause").read_bytes()})
    machine = platform.machine()
    config = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    path = folder / "pause.tar"
    path.write_bytes(
        _tar(
            {
                "config.json": json.dumps(config).encode(),
                "manifest.json": json.dumps(manifest).encode(),
                "layer.tar": layer,
            }
        )
    )
    return path


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
