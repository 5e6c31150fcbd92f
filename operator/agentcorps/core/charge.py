"""What a pod takes of a ResourceQuota, as the API server's own evaluator counts it.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/ and, for init containers,
https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.core.amounts import NANO, amount
from agentcorps.core.fields import Malformed, entries, section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OBJECTS: Final = frozenset({"count/agents.agentcorps.dev", "count/pods"})
"""What is charged for as long as there is an object. Each pod of ours has an Agent."""
_PER_POD: Final = _OBJECTS | {"pods"}
_AFFINITIES: Final = ("podAffinity", "podAntiAffinity")
_DECIDES_QOS: Final = frozenset({"cpu", "memory"})


class Charge(NamedTuple):
    """The size of a pod. Equal pods have equal charges, so that many are counted as one."""

    amounts: tuple[tuple[str, int], ...] = (
        ("count/agents.agentcorps.dev", NANO),
        ("count/pods", NANO),
        ("pods", NANO),
    )
    """Amount by the name that it has in a quota, such as ``requests.cpu``; in order."""
    best_effort: bool = True
    """It asks for neither CPU nor memory."""
    terminating: bool = False
    """It has an ``activeDeadlineSeconds``."""
    priority_class: str = ""
    crosses_namespaces: bool = False
    """Its affinity looks at pods of other namespaces."""

    def ended(self) -> Charge:
        """Return what is charged once the pod has ended, or is overdue: the object alone."""
        return self._replace(amounts=tuple(one for one in self.amounts if one[0] in _OBJECTS))


JUST_A_POD: Final = Charge()
"""A pod that asks for nothing."""


def charge_of(spec: Mapping[str, Any]) -> Charge:
    """Return what a pod of this spec is charged with.

    That of an admitted pod is exact. In a template what admission adds is missing: defaults of a
    LimitRange, the overhead of a RuntimeClass.

    Raises:
        Malformed: The spec cannot be read.
    """
    limits = _effective(spec, "limits")
    # The API server has a request default to its limit, container by container.
    requests = _effective(spec, "requests")
    charged = Counter(dict.fromkeys(_PER_POD, NANO))
    for name, value in requests.items():
        charged[f"requests.{name}"] += value
        if "/" not in name:
            charged[name] += value
    for name, value in limits.items():
        charged[f"limits.{name}"] += value
    return Charge(
        amounts=tuple(sorted(charged.items())),
        best_effort=not _DECIDES_QOS & (requests.keys() | limits.keys()),
        terminating=spec.get("activeDeadlineSeconds") is not None,
        priority_class=str(spec.get("priorityClassName") or ""),
        crosses_namespaces=any(_crosses_namespaces(spec, name) for name in _AFFINITIES),
    )


def is_per_pod(resource: str) -> bool:
    """Tell whether each pod takes one of a resource, whatever it asks for."""
    return resource in _PER_POD


def _crosses_namespaces(spec: Mapping[str, Any], name: str) -> bool:
    path = f"spec.affinity.{name}"
    affinity = section(section(spec, "affinity", "spec.affinity"), name, path)
    required = entries(affinity, "requiredDuringSchedulingIgnoredDuringExecution", path)
    weighted = entries(affinity, "preferredDuringSchedulingIgnoredDuringExecution", path)
    terms = [*required, *(section(one, "podAffinityTerm", path) for one in weighted)]
    return any(
        term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms
    )


def _effective(spec: Mapping[str, Any], what: str) -> Counter[str]:
    """Return the most that a pod needs at any time: while it starts, or while it runs."""
    running: Counter[str] = Counter()
    for container in entries(spec, "containers", "spec.containers"):
        running.update(_wants(container, what))
    starting: Counter[str] = Counter()
    sidecars: Counter[str] = Counter()
    for container in entries(spec, "initContainers", "spec.initContainers"):
        wants = _wants(container, what)
        if container.get("restartPolicy") == "Always":
            sidecars.update(wants)
            starting |= sidecars
        else:
            starting |= sidecars + wants
    whole = (running + sidecars) | starting
    for name, value in _wants(spec, what).items():
        whole[name] = value
    return whole + _amounts(section(spec, "overhead", "spec.overhead").items())


def _wants(container: Mapping[str, Any], what: str) -> Counter[str]:
    resources = section(container, "resources", "spec.containers.resources")
    path = f"spec.containers.resources.{what}"
    wanted = section(resources, what, path)
    if what == "requests":
        wanted = {**section(resources, "limits", path), **wanted}
    return _amounts(wanted.items())


def _amounts(quantities: Iterable[tuple[str, Any]]) -> Counter[str]:
    try:
        return Counter({name: amount(str(value)) for name, value in quantities})
    except ValueError as error:
        raise Malformed("spec.containers.resources", str(error)) from None
