"""Inputs and results in Secrets and ConfigMaps, as the command line handles them."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.names import MAX_NAME_LENGTH, is_dns_subdomain
from agentcorps.api.payloads import DATA_KEY_PATTERN
from agentcorps.cli.errors import ApiError, InputError, NotFoundError
from agentcorps.cli.model import status_of

if TYPE_CHECKING:
    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object

_REFERENCES: Final = {"secret": "secretKeyRef", "configmap": "configMapKeyRef"}
_KEY: Final = re.compile(DATA_KEY_PATTERN)


def input_reference(text: str) -> dict[str, Any]:
    """Return `secret/NAME:KEY` or `configmap/NAME:KEY` as spec.inputFrom has it.

    Raises:
        InputError: It has another form.
    """
    kind, _, rest = text.partition("/")
    name, _, key = rest.partition(":")
    known = _REFERENCES.get(kind.lower())
    if known is None or not is_dns_subdomain(name) or not _is_key(key):
        raise InputError("--input-from must have the form secret/NAME:KEY or configmap/NAME:KEY")
    return {known: {"name": name, "key": key}}


def check_result_to(name: str | None, tasks: int) -> None:
    """Refuse a Secret for the results of several Tasks: each is created for one.

    Raises:
        InputError: One is named, and there are several Tasks.
    """
    if name is not None and tasks > 1:
        raise InputError(f"--result-to fits one Task, not {tasks}: each needs its own")


def with_result(cluster: Cluster, task: Object) -> Object:
    """Return a Task with its result in the status, fetched from the Secret that keeps it, if any.

    Raises:
        NotFoundError: The Secret is gone.
        ApiError: The user may not read it.
    """
    reference = status_of(task).get("resultRef")
    if reference is None:
        return task
    name, key = reference["name"], reference["key"]
    whose = f"the result of task {task['metadata']['name']!r} is in Secret {name}"
    try:
        secret = cluster.read(f"/api/v1/namespaces/{cluster.namespace}/secrets/{name}")
        value = json.loads(base64.b64decode(secret["data"][key]))
    except NotFoundError as error:
        raise NotFoundError(f"{whose}, which does not exist any more") from error
    except ApiError as error:
        raise type(error)(f"{whose}: {error}") from error
    except (KeyError, ValueError):
        # What stands there instead is nobody's to see.
        raise NotFoundError(f"{whose}, which was changed: its key {key} is no result") from None
    return {**task, "status": {**task["status"], "result": value}}


def _is_key(text: str) -> bool:
    return len(text) <= MAX_NAME_LENGTH and _KEY.fullmatch(text) is not None
