"""Bearer tokens and authorities for servers of metrics: taken from Secrets and ConfigMaps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.metrics import ANNOTATION_METRICS_SERVER
from agentcorps.core.fields import section
from agentcorps.core.payloads import content_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import InputSource

# RFC 6750, section 2.1: what a bearer token may consist of.
_TOKEN: Final = re.compile(rb"[-A-Za-z0-9._~+/]+=*")
_MAX_BYTES: Final = 64 * 1024
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


class BadProof(ValueError):
    """Something that cannot be used; the message says what and why, and nothing of its content."""


def token(source: InputSource, stored: Mapping[str, Any]) -> str:
    """Return the bearer token under a key of a Secret.

    Raises:
        BadProof: There is none.
    """
    found = _content(source, stored).strip()
    if not _TOKEN.fullmatch(found):
        raise BadProof(f"{source} must hold a bearer token and nothing else")
    return found.decode("ascii")


def authority(source: InputSource, stored: Mapping[str, Any]) -> str:
    """Return the certificates under a key of a Secret or ConfigMap, as PEM.

    Raises:
        BadProof: There are none.
    """
    try:
        found = _content(source, stored).decode("ascii")
    except UnicodeDecodeError:
        found = ""
    if _CERTIFICATE not in found:
        raise BadProof(f"{source} must hold certificates as PEM")
    return found


def require_server(source: InputSource, stored: Mapping[str, Any], address: str) -> None:
    """Let only a Secret pass that says itself that it is for this server.

    Raises:
        BadProof: It is for another one, or does not say.
    """
    metadata = section(stored, "metadata", "metadata")
    notes = section(metadata, "annotations", "metadata.annotations")
    if str(notes.get(ANNOTATION_METRICS_SERVER, "")).rstrip("/") != address:
        raise BadProof(
            f"{source.kind} {source.name} lacks the annotation {ANNOTATION_METRICS_SERVER} with the"
            " policy's serverAddress, without which this installation uses none"
        )


def _content(source: InputSource, stored: Mapping[str, Any]) -> bytes:
    found = content_of(source, stored)
    if found is None:
        raise BadProof(f"{source.kind} {source.name} has no key {source.key}: add it")
    if len(found) > _MAX_BYTES:
        raise BadProof(f"{source} has more than {_MAX_BYTES} bytes")
    return found
