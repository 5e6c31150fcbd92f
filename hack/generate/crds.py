"""The three CustomResourceDefinitions."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from agentcorps.api import kinds
from agentcorps.api.agent import Agent
from agentcorps.api.agentpool import AgentPool
from agentcorps.api.kinds import Kind
from agentcorps.api.meta import CATEGORY, GROUP, VERSION, Resource
from agentcorps.api.task import Task
from generate.podtemplate import pod_template_schema
from generate.structural import MAP_TYPE, Schema, structural_schema

# A client-side apply keeps the whole object in one annotation, all of which may have 262,144 bytes.
MAX_CRD_BYTES = 230_000
# What the status is from creation on, although nobody wrote it: selectable, and in progress for
# tools that compare observedGeneration with generation.
STATUS_DEFAULTS = ("observedGeneration", "phase")


class GenerateError(Exception):
    """What was generated cannot be used."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; those of priority 1 show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0

    def to_api(self) -> dict[str, Any]:
        """Return the column as a CRD has it."""
        column = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**column, "priority": self.priority} if self.priority else column


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CRD says beside its schema."""

    kind: Kind
    model: type[Resource]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    scale: dict[str, str] | None = None


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = '.status.conditions[?(@.type=="Ready")]'

DEFINITIONS = (
    Definition(
        kinds.AGENT,
        Agent,
        (
            Column("Pool", f".metadata.labels.{GROUP.replace('.', chr(92) + '.')}/pool"),
            Column("Phase", ".status.phase"),
            Column("Slots", ".spec.slots", "integer"),
            Column("Used", ".status.slotsUsed", "integer"),
            Column("Succeeded", ".status.tasksSucceeded", "integer"),
            Column("Failed", ".status.tasksFailed", "integer"),
            Column("Reason", ".status.reason", priority=1),
            Column("Message", ".status.message", priority=1),
            _AGE,
        ),
        selectable=(".status.phase",),
    ),
    Definition(
        kinds.AGENT_POOL,
        AgentPool,
        (
            Column("Target", ".status.targetReplicas", "integer"),
            Column("Ready", ".status.readyReplicas", "integer"),
            Column("Idle", ".status.idleReplicas", "integer"),
            Column("Busy", ".status.busyReplicas", "integer"),
            Column("Queued", ".status.queuedTasks", "integer"),
            Column("Limited-By", ".status.limitedBy"),
            Column("Reason", f"{_READY}.reason", priority=1),
            Column("Message", f"{_READY}.message", priority=1),
            _AGE,
        ),
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
    Definition(
        kinds.TASK,
        Task,
        (
            Column("Pool", ".spec.pool"),
            Column("Phase", ".status.phase"),
            Column("Reason", ".status.reason"),
            Column("Agent", ".status.agentName"),
            Column("Attempt", ".status.attempt", "integer"),
            Column("Failures", ".status.failures", "integer", priority=1),
            Column("Priority", ".spec.priority", "integer", priority=1),
            Column("Percent", ".status.progress.percent", "integer", priority=1),
            Column("Message", ".status.message", priority=1),
            _AGE,
        ),
        selectable=(".spec.pool", ".status.phase", ".status.agentName"),
    ),
)


def crd(definition: Definition) -> dict[str, Any]:
    """Return one CustomResourceDefinition.

    Raises:
        GenerateError: It is too large for a client-side apply.
    """
    kind = definition.kind
    document = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "singular": kind.singular,
                "plural": kind.plural,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [_version(definition)],
        },
    }
    size = len(json.dumps(document, separators=(",", ":")))
    if size > MAX_CRD_BYTES:
        raise GenerateError(f"{kind.crd_name} has {size} bytes, at most {MAX_CRD_BYTES} are wanted")
    return document


def _version(definition: Definition) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if definition.scale is not None:
        subresources["scale"] = definition.scale
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [column.to_api() for column in definition.columns],
        "schema": {"openAPIV3Schema": _root_schema(definition)},
    }
    if definition.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    return version


def _root_schema(definition: Definition) -> Schema:
    schema = structural_schema(definition.model, pod_template_schema())
    properties = schema["properties"]
    for name in ("apiVersion", "kind"):
        properties[name] = {"type": "string"}
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    properties["status"] = _status_schema(properties["status"])
    schema["required"] = ["spec"]
    return schema


def _status_schema(status: Schema) -> Schema:
    """Return the schema of a status in which only what STATUS_DEFAULTS names has a default.

    It is atomic to those who apply: one writer replaces it whole. Else the API server would keep,
    with each object, the list of all its fields, and work it out anew with each write.
    """
    defaults = {
        name: status["properties"][name]["default"]
        for name in STATUS_DEFAULTS
        if name in status["properties"]
    }
    return {**_without_defaults(status), MAP_TYPE: "atomic", "default": defaults}


def _without_defaults(schema: Schema) -> Schema:
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        fields = schema["properties"].items()
        result["properties"] = {name: _without_defaults(field) for name, field in fields}
    if "items" in schema:
        result["items"] = _without_defaults(schema["items"])
    return result


def to_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML, in the order in which it was built and without anchors."""
    return yaml.dump(document, Dumper=_NoAliases, sort_keys=False, width=100, allow_unicode=True)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- the signature is PyYAML's
        return True
