"""A ResourceQuota: how much there is, how much is used, and of which pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentcorps.core.amounts import amount
from agentcorps.core.fields import Malformed, entries, section, text, words
from agentcorps.core.metadata import identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.charge import Charge
    from agentcorps.core.records import Key


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods a quota is about: all conditions must hold."""

    name: str
    operator: str = "Exists"
    values: frozenset[str] = frozenset()

    def takes(self, charge: Charge) -> bool:
        """Tell whether a pod is in it; a scope that is not about pods of agents has none."""
        inside = {
            "BestEffort": charge.best_effort,
            "NotBestEffort": not charge.best_effort,
            "Terminating": charge.terminating,
            "NotTerminating": not charge.terminating,
            "CrossNamespacePodAffinity": charge.crosses_namespaces,
            "PriorityClass": self._has(charge.priority_class),
        }
        return inside.get(self.name, False)

    def _has(self, value: str) -> bool:
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "DoesNotExist":
                return not value
            case _:
                return bool(value)


@dataclass(frozen=True, slots=True)
class QuotaRecord:
    """A ResourceQuota; amounts are billionths."""

    uid: str
    key: Key
    resource_version: int
    hard: Mapping[str, int]
    """What the quota controller enforces now; what the spec says until it has."""
    used: Mapping[str, int]
    scopes: tuple[Scope, ...] = ()

    def left(self, resource: str) -> int:
        """Return how much of a resource nothing uses, as the quota itself says."""
        return self.hard[resource] - self.used.get(resource, 0)

    def costs(self, charge: Charge) -> Mapping[str, int]:
        """Return what a pod takes of each resource of this quota; empty if it is none of its."""
        if not all(scope.takes(charge) for scope in self.scopes):
            return {}
        return {name: value for name, value in charge.amounts if name in self.hard}


def quota_record(obj: Mapping[str, Any]) -> QuotaRecord:
    """Read a ResourceQuota.

    Raises:
        Malformed: It cannot be read.
    """
    identity = identity_of(obj)
    spec, status = section(obj, "spec", "spec"), section(obj, "status", "status")
    selector = section(spec, "scopeSelector", "spec.scopeSelector")
    path = "spec.scopeSelector.matchExpressions"
    selected = [
        Scope(
            text(one, "scopeName", f"{path}.scopeName"),
            text(one, "operator", f"{path}.operator"),
            words(one, "values", f"{path}.values"),
        )
        for one in entries(selector, "matchExpressions", path)
    ]
    plain = [Scope(name) for name in sorted(words(spec, "scopes", "spec.scopes"))]
    hard = status.get("hard") or spec.get("hard")
    return QuotaRecord(
        uid=identity.uid,
        key=identity.key,
        resource_version=identity.resource_version,
        hard=_amounts(hard, "spec.hard"),
        used=_amounts(status.get("used"), "status.used"),
        scopes=(*plain, *selected),
    )


def _amounts(quantities: Any, path: str) -> Mapping[str, int]:
    if not isinstance(quantities or {}, dict):
        raise Malformed(path, "must be an object")
    try:
        return {name: amount(str(value)) for name, value in (quantities or {}).items()}
    except ValueError as error:
        raise Malformed(path, str(error)) from None
