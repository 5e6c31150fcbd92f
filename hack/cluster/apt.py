"""Finds the mirror that this machine's package manager is set up for."""

import re
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import ClusterError

_FOLDER = Path("/etc/apt")
_LINE = re.compile(r"deb\s+(?:\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)")


def uris(text: str) -> Iterator[str]:
    """Yield the addresses of Debian's main archive from a file of apt's sources.

    Both of apt's formats are read; archives of security updates alone and of other makers are
    left out, because no system can be made from them.

    Args:
        text: content of a ``.list`` or ``.sources`` file.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in lines:
        match = _LINE.match(line.strip())
        if match and "main" in match["parts"].split() and _whole(match["suite"]):
            yield match["uri"]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            key.strip().lower(): value.split()
            for key, _, value in (line.partition(":") for line in stanza.splitlines())
        }
        if "main" in fields.get("components", []) and any(map(_whole, fields.get("suites", []))):
            yield from fields.get("uris", [])


def mirror() -> str:
    """Return the first address of Debian's main archive that this machine uses.

    Raises:
        ClusterError: it uses none.
    """
    release = Path("/etc/os-release").read_text()
    if not re.search(r"^ID=\"?debian\"?$", release, re.MULTILINE):
        raise ClusterError(
            "needs Debian to make the base image; elsewhere build with docker, "
            "or pass --build-arg BASE_IMAGE=… of an image with Python 3.11"
        )
    files = [_FOLDER / "sources.list", *sorted(_FOLDER.glob("sources.list.d/*"))]
    for path in (path for path in files if path.is_file()):
        for uri in uris(path.read_text()):
            return uri
    raise ClusterError(f"found no Debian archive in {_FOLDER}/sources.list nor beside it")


def _whole(suite: str) -> bool:
    return not re.search(r"[-/]", suite)
