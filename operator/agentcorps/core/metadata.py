"""The metadata that every object has, read from decoded JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.core.fields import Malformed, entries, moment, section, text, whole
from agentcorps.core.records import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION_DIGITS: Final = 20
"""Resource versions are unsigned integers of 64 bits."""


class Identity(NamedTuple):
    """What the metadata of any object says."""

    uid: str
    key: Key
    resource_version: int
    generation: int
    created: float
    deleting: bool


def identity_of(obj: Mapping[str, Any]) -> Identity:
    """Read who an object is.

    Raises:
        Malformed: The metadata cannot be read.
    """
    metadata = section(obj, "metadata", "metadata")
    version = text(metadata, "resourceVersion", "metadata.resourceVersion")
    if len(version) > _VERSION_DIGITS or not (version.isascii() and version.isdigit()):
        raise Malformed("metadata.resourceVersion", "must be a decimal number")
    created = moment(metadata, "creationTimestamp", "metadata.creationTimestamp")
    return Identity(
        uid=text(metadata, "uid", "metadata.uid"),
        key=Key(
            text(metadata, "namespace", "metadata.namespace"),
            text(metadata, "name", "metadata.name"),
        ),
        resource_version=int(version),
        generation=whole(metadata, "generation", "metadata.generation", 0),
        created=0.0 if created is None else created,
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def controller_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the controlling owner reference; empty when there is none."""
    owners = entries(metadata, "ownerReferences", "metadata.ownerReferences")
    for owner in owners:
        if owner.get("controller") is True:
            text(owner, "uid", "metadata.ownerReferences.uid")
            text(owner, "name", "metadata.ownerReferences.name")
            return owner
    return {}


def labels_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels, those that are text: the API server admits no others."""
    labels = section(metadata, "labels", "metadata.labels")
    return {key: value for key, value in labels.items() if isinstance(value, str)}
