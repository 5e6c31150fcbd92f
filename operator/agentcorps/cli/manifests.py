"""From documents and options to the objects that are sent, checked before the first request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentcorps.api.agent import Agent
from agentcorps.api.agentpool import AgentPool
from agentcorps.api.kinds import AGENT, AGENT_POOL, TASK
from agentcorps.api.names import MAX_INPUT_BYTES, encoded_size
from agentcorps.api.task import Task
from agentcorps.api.validation import InvalidObject, parse
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentcorps.api.kinds import Kind
    from agentcorps.api.meta import ApiModel

MODELS: Mapping[Kind, type[ApiModel]] = {AGENT: Agent, AGENT_POOL: AgentPool, TASK: Task}
_WHOM = ("pool", "agentSelector")
"""Fields of a Task's spec that say which agents may do the work: exactly one must be given."""
_SENT = ("apiVersion", "kind", "metadata", "spec")
_STAMPED = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"})


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What the command line says about Tasks; None leaves the document's value or the default."""

    pool: str | None = None
    agent_selector: tuple[str, ...] = ()
    """Labels of the agents, as KEY=VALUE; instead of ``pool``."""
    affinity_key: str | None = None
    requires: tuple[str, ...] = ()
    priority: int | None = None
    queue_timeout_seconds: int | None = None
    timeout_seconds: int | None = None
    retry_limit: int | None = None
    ttl_seconds: int | None = None
    result_to: str | None = None
    name: str | None = None
    generate_name: str | None = None
    labels: tuple[str, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the fields of a Task's spec that were given."""
        labels = labels_from(self.agent_selector, "--agent-selector")
        fields = {
            "pool": self.pool,
            "agentSelector": {"matchLabels": labels} if labels else None,
            "affinityKey": self.affinity_key,
            "requires": list(self.requires) or None,
            "priority": self.priority,
            "queueTimeoutSeconds": self.queue_timeout_seconds,
            "timeoutSeconds": self.timeout_seconds,
            "retry": None if self.retry_limit is None else {"limit": self.retry_limit},
            "ttlSecondsAfterFinished": self.ttl_seconds,
            "resultTo": None if self.result_to is None else {"secret": {"name": self.result_to}},
        }
        return {name: value for name, value in fields.items() if value is not None}


def task_from_input(document: Document, settings: TaskSettings) -> Document:
    """Return a Task whose input is the document."""
    return _task(document.place, {}, {"input": document.value}, settings)


def task_from_manifest(document: Document, settings: TaskSettings) -> Document:
    """Return the Task that a document describes: a whole Task object, or (without `kind`) its spec.

    What the settings say goes before what the document says.
    """
    if "kind" not in document.value:
        return _task(document.place, {}, document.value, settings)
    whole = whole_object(TASK, document)
    return _task(document.place, whole["metadata"], whole["spec"], settings)


def whole_object(kind: Kind, document: Document) -> dict[str, Any]:
    """Return what a user can say of a document's object, after a look at its type.

    What the API server wrote (status, uid ...) is left out, so that exported objects can be sent.
    """
    value = document.value
    found = f"{value.get('apiVersion')} {value.get('kind')}"
    if found != f"{kind.api_version} {kind.kind}":
        document.refuse(f"must be an {kind.api_version} {kind.kind}, not {found}")
    for field in ("metadata", "spec"):
        if not isinstance(value.get(field), dict):
            document.refuse(f"{field} must be an object")
    metadata = {name: each for name, each in value["metadata"].items() if name not in _STAMPED}
    return {field: value[field] for field in _SENT} | {"metadata": metadata}


def check(kind: Kind, document: Document, namespace: str) -> None:
    """Refuse an object that the API server would refuse, or that belongs into another namespace."""
    metadata = document.value["metadata"]
    if metadata.get("namespace", namespace) != namespace:
        document.refuse(
            f"metadata.namespace is not {namespace!r}, where this command works: add -n, or drop it"
        )
    if not metadata.get("name") and not metadata.get("generateName"):
        document.refuse("metadata.name is missing")
    try:
        # Metadata is the API server's to check: it has fields that the models do not know.
        parse(MODELS[kind], document.value | {"metadata": {}}, forbid_unknown=True)
    except InvalidObject as error:
        document.refuse(error.message)


def labels_from(pairs: Iterable[str], option: str) -> dict[str, str]:
    """Return `K=V` arguments as a mapping."""
    result = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise InputError(f"{option} must have the form KEY=VALUE")
        result[key] = value
    return result


def _task(
    place: str, metadata: Mapping[str, Any], spec: Mapping[str, Any], settings: TaskSettings
) -> Document:
    given = settings.spec()
    # Whom the options name stands instead of whom the document names.
    whom = () if given.keys().isdisjoint(_WHOM) else _WHOM
    merged = {key: value for key, value in spec.items() if key not in whom} | given
    body = {
        "apiVersion": TASK.api_version,
        "kind": TASK.kind,
        "metadata": _named(metadata, merged.get("pool"), settings),
        "spec": merged,
    }
    task = Document(body, place)
    named = [field for field in _WHOM if field in merged]
    if not named:
        task.refuse("names no pool: add --pool, or spec.pool (or else --agent-selector)")
    if len(named) > 1:
        task.refuse("names both a pool and an agentSelector: leave one of them out")
    _check_size(task)
    return task


def _named(metadata: Mapping[str, Any], pool: Any, settings: TaskSettings) -> dict[str, Any]:
    named = dict(metadata)
    if settings.name is not None:
        named["name"] = settings.name
        named.pop("generateName", None)
    elif settings.generate_name is not None:
        named["generateName"] = settings.generate_name
        named.pop("name", None)
    elif not (named.get("name") or named.get("generateName")):
        named["generateName"] = f"{pool or 'task'}-"
    labels = labels_from(settings.labels, "--label")
    if labels:
        named["labels"] = {**(named.get("labels") or {}), **labels}
    return named


def _check_size(task: Document) -> None:
    try:
        size = encoded_size(task.value["spec"].get("input") or {})
    except (TypeError, ValueError, RecursionError):
        task.refuse("input holds a value that JSON does not have (a date, NaN, binary data ...)")
    if size > MAX_INPUT_BYTES:
        task.refuse(
            f"input has {size} bytes, more than the {MAX_INPUT_BYTES} that a Task may carry:"
            " store the data elsewhere and give its address"
        )
