"""Input and result that stand in a Secret or ConfigMap instead of the Task."""

from __future__ import annotations

import base64
import binascii
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import LABEL_MANAGED_BY, MANAGED_BY, TaskReason
from agentcorps.api.names import MAX_INPUT_BYTES
from agentcorps.api.payloads import (
    ANNOTATION_ATTEMPT,
    LABEL_TASK_INPUT,
    LABEL_TASK_UID,
    RESULT_KEY,
    RESULT_TYPE,
)
from agentcorps.core.digest import canonical_json
from agentcorps.core.fields import Malformed, section, text
from agentcorps.core.records import InputSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import TaskRecord

_REFERENCES: Final = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}


class Access(StrEnum):
    """What the operator may do with Secrets and ConfigMaps on behalf of Tasks."""

    OFF = "Off"
    """Nothing."""
    LABELLED = "Labelled"
    """Take inputs only from those that bear the label ``agentcorps.dev/task-input=true``."""
    ANY = "Any"
    """Take inputs from any: a policy has asked whether the Task's creator may read it."""


class Unusable(Exception):
    """An input that cannot be had, or a place where no result can be put.

    Attributes:
        reason: As ``status.reason`` tells it.
        message: What is wrong and what to do; never anything of the payload.
        waits: Somebody can mend it without touching the Task, which therefore waits.
    """

    def __init__(self, reason: TaskReason, message: str, *, waits: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.waits = waits


class StoredResult(NamedTuple):
    """A result that was put into a Secret."""

    name: str
    """Of the Secret."""
    digest: str


def input_source(spec: Mapping[str, Any]) -> InputSource | None:
    """Where the input of a Task's spec stands; None when it is in the spec itself.

    Raises:
        Malformed: There is not exactly one place.
    """
    place = "spec.inputFrom"
    if spec.get("inputFrom") is None:
        return None
    given = section(spec, "inputFrom", place)
    found = [(field, kind) for field, kind in _REFERENCES.items() if given.get(field) is not None]
    if not found:
        raise Malformed(place, "must have secretKeyRef or configMapKeyRef")
    if len(found) > 1 or spec.get("input"):
        raise Malformed(place, "must be the only place of the input")
    field, kind = found[0]
    where = f"{place}.{field}"
    reference = section(given, field, where)
    return InputSource(
        kind, text(reference, "name", f"{where}.name"), text(reference, "key", f"{where}.key")
    )


def result_secret(spec: Mapping[str, Any]) -> str:
    """Name of the Secret that a Task's spec wants its result in; empty when it wants none.

    Raises:
        Malformed: The spec names none where it should.
    """
    place = "spec.resultTo.secret"
    if spec.get("resultTo") is None:
        return ""
    secret = section(section(spec, "resultTo", "spec.resultTo"), "secret", place)
    return text(secret, "name", f"{place}.name")


def input_value(
    source: InputSource, stored: Mapping[str, Any], *, label_required: bool
) -> dict[str, Any]:
    """The input in a Secret or ConfigMap, as if it stood in ``spec.input``.

    Args:
        source: Which key of which object.
        stored: The object.
        label_required: Whether it has to bear the label that admits it.

    Raises:
        Unusable: It is not there, not admitted, not a JSON object, or too large.
    """
    labels = section(section(stored, "metadata", "metadata"), "labels", "metadata.labels")
    if label_required and labels.get(LABEL_TASK_INPUT) != "true":
        raise Unusable(
            TaskReason.INPUT_NOT_FOUND,
            f"{source.kind} {source.name} lacks the label {LABEL_TASK_INPUT}=true, without which"
            " this installation reads none",
            waits=True,
        )
    content = content_of(source, stored)
    if content is None:
        raise Unusable(
            TaskReason.INPUT_NOT_FOUND,
            f"{source.kind} {source.name} has no key {source.key}: add it",
            waits=True,
        )
    value = _decoded(source, content)
    size = len(canonical_json(value))
    if size > MAX_INPUT_BYTES:
        raise Unusable(
            TaskReason.INPUT_TOO_LARGE,
            f"{source} takes {size} bytes as JSON, more than {MAX_INPUT_BYTES}:"
            " keep large input elsewhere and pass a reference to it",
        )
    return value


def result_object(record: TaskRecord, content: bytes) -> dict[str, Any]:
    """The Secret for the result of a Task's current attempt.

    Args:
        record: The Task; ``result_secret`` names the Secret.
        content: The result in canonical JSON.
    """
    owner = {
        "apiVersion": TASK.api_version,
        "kind": TASK.kind,
        "name": record.key.name,
        "uid": record.uid,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": record.result_secret,
            "namespace": record.key.namespace,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_TASK_UID: record.uid},
            "annotations": {ANNOTATION_ATTEMPT: str(record.attempt)},
            "ownerReferences": [owner],
        },
        "type": RESULT_TYPE,
        "data": {RESULT_KEY: base64.b64encode(content).decode()},
    }


def require_own(secret: Mapping[str, Any], record: TaskRecord) -> None:
    """Let only a Secret pass that was created for this Task, by this or an earlier attempt.

    Raises:
        Unusable: It is another's: it is left as it is.
    """
    metadata = secret["metadata"]
    owners = metadata.get("ownerReferences") or ()
    labels = metadata.get("labels") or {}
    attempt = (metadata.get("annotations") or {}).get(ANNOTATION_ATTEMPT, "")
    own = (
        labels.get(LABEL_TASK_UID) == record.uid
        and any(owner.get("uid") == record.uid for owner in owners)
        and attempt.isascii()
        and attempt.isdigit()
        and int(attempt) <= record.attempt
    )
    if not own:
        raise Unusable(
            TaskReason.RESULT_REFUSED,
            f"Secret {record.result_secret} exists and was not created for this Task:"
            " spec.resultTo must name one that does not exist yet",
        )


def content_of(source: InputSource, stored: Mapping[str, Any]) -> bytes | None:
    """The bytes under a key of a Secret or ConfigMap; None when it has no such key."""
    value = section(stored, "data", "data").get(source.key)
    if source.kind == "ConfigMap" and value is not None:
        return str(value).encode(errors="surrogatepass")
    if source.kind == "ConfigMap":
        value = section(stored, "binaryData", "binaryData").get(source.key)
    try:
        return None if value is None else base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def _decoded(source: InputSource, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content.decode(), parse_constant=_refuse)
        # As the API server would have stored it: lone surrogates and huge numbers do not travel.
        value = json.loads(canonical_json(value))
    except (ValueError, TypeError, RecursionError):
        # What went wrong where would tell about the content.
        value = None
    if not isinstance(value, dict):
        raise Unusable(
            TaskReason.INPUT_INVALID,
            f"{source} must hold a JSON object in UTF-8, such as {{}}, and does not:"
            " correct it and create a new Task",
        )
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
