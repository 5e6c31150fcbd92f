"""From the API server's JSON of a Pod to its record: by hand, for Pods come by the thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.api.meta import LABEL_AGENT
from agentcorps.api.names import clip_message
from agentcorps.core.charge import charge_of
from agentcorps.core.conditions import find, is_true
from agentcorps.core.fields import entries, moment, section, text, whole
from agentcorps.core.metadata import controller_of, identity_of
from agentcorps.core.podspec import LABEL_TEMPLATE_HASH
from agentcorps.core.records import PodRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a container that waits because all is well."""
_DISRUPTIONS: Final = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"}
)
"""Reasons in a pod's status that lie with its node."""


class _Exit(NamedTuple):
    """How a container died of itself."""

    at: float
    cause: str


def pod_record(obj: Mapping[str, Any]) -> PodRecord:
    """Read a Pod.

    Raises:
        Malformed: It cannot be read.
    """
    identity = identity_of(obj)
    metadata = section(obj, "metadata", "metadata")
    status = section(obj, "status", "status")
    containers = [
        container
        for name in ("initContainerStatuses", "containerStatuses")
        for container in entries(status, name, f"status.{name}")
    ]
    labels = section(metadata, "labels", "metadata.labels")
    phase = text(status, "phase", "status.phase", "")
    waiting = _waiting(status, containers)
    died = _exit(metadata, status)
    delete_by = moment(metadata, "deletionTimestamp", "metadata.deletionTimestamp")
    spec = section(obj, "spec", "spec")
    return PodRecord(
        uid=identity.uid,
        key=identity.key,
        resource_version=identity.resource_version,
        agent_name=text(labels, LABEL_AGENT, "metadata.labels", ""),
        owner_uid=controller_of(metadata).get("uid", ""),
        created=identity.created,
        phase=phase,
        ready=is_true(status, "Ready"),
        deleting=identity.deleting,
        terminated=phase in {"Succeeded", "Failed"},
        restarts=sum(
            whole(container, "restartCount", "status.containerStatuses.restartCount", 0)
            for container in containers
        ),
        charge=charge_of(spec),
        node_name=text(spec, "nodeName", "spec.nodeName", ""),
        waiting_reason=waiting[0],
        waiting_message=clip_message(waiting[1]),
        template_hash=text(labels, LABEL_TEMPLATE_HASH, "metadata.labels", ""),
        disruption=_disruption(status),
        delete_by=delete_by,
        charged_until=None if delete_by is None else delete_by + _grace(metadata),
        exited_at=None if died is None else died.at,
        exit_cause="" if died is None else died.cause,
    )


def _grace(metadata: Mapping[str, Any]) -> int:
    path = "metadata.deletionGracePeriodSeconds"
    return whole(metadata, "deletionGracePeriodSeconds", path, 0)


def _disruption(status: Mapping[str, Any]) -> str:
    """Why the node or the cluster ends the pod; empty when neither does."""
    entries(status, "conditions", "status.conditions")
    target = find(status, "DisruptionTarget")
    if target.get("status") == "True":
        return text(target, "reason", "status.conditions.reason", "") or "DisruptionTarget"
    reason = text(status, "reason", "status.reason", "")
    return reason if reason in _DISRUPTIONS else ""


def _exit(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> _Exit | None:
    """The last death of a container, unless the pod's deletion was the cause."""
    asked = moment(metadata, "deletionTimestamp", "metadata.deletionTimestamp")
    if asked is not None:  # the API server puts the grace period on top of the moment of asking
        asked -= _grace(metadata)
    deaths = [
        death
        for container in entries(status, "containerStatuses", "status.containerStatuses")
        for name in ("state", "lastState")
        if (death := _death(container, name)) is not None and (asked is None or death.at < asked)
    ]
    return max(deaths, default=None)


def _death(container: Mapping[str, Any], name: str) -> _Exit | None:
    path = f"status.containerStatuses.{name}"
    ended = section(section(container, name, path), "terminated", f"{path}.terminated")
    at = moment(ended, "finishedAt", f"{path}.terminated.finishedAt")
    if at is None:
        return None
    reason = text(ended, "reason", f"{path}.terminated.reason", "")
    code = whole(ended, "exitCode", f"{path}.terminated.exitCode", 0, None)
    return _Exit(at, f"{reason or 'Exited'} (exit code {code})")


def _waiting(status: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Reason and message of the first container that waits in trouble, or of the scheduler."""
    path = "status.containerStatuses.state.waiting"
    for container in containers:
        state = section(container, "state", "status.containerStatuses.state")
        waiting = section(state, "waiting", path)
        reason = text(waiting, "reason", f"{path}.reason", "")
        if reason and reason not in _STARTING:
            return reason, text(waiting, "message", f"{path}.message", "")
    entries(status, "conditions", "status.conditions")
    scheduled = find(status, "PodScheduled")
    if scheduled.get("status") != "False":
        return "", ""
    path = "status.conditions"
    return (
        text(scheduled, "reason", f"{path}.reason", ""),
        text(scheduled, "message", f"{path}.message", ""),
    )
