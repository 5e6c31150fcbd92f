"""From the API server's JSON to records: tolerant of what is absent or unknown, and fast.

Tasks and Pods come by the thousand and are read by hand; Agents and AgentPools are rare and go
through their models, so that what is wrong with them is told in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.agent import AgentSpec
from agentcorps.api.agentpool import AgentPoolSpec, Preemption
from agentcorps.api.kinds import AGENT_POOL
from agentcorps.api.meta import AgentPhase, ConditionStatus, ConditionType, TaskPhase
from agentcorps.api.names import clip_message, encoded_size
from agentcorps.api.validation import InvalidObject, parse_agent, parse_pool
from agentcorps.core import metric_sources
from agentcorps.core.autoscaling import schedules
from agentcorps.core.charge import JUST_A_POD, charge_of
from agentcorps.core.conditions import DRAINING, find, is_true
from agentcorps.core.defaults import effective, limits_of
from agentcorps.core.fields import (
    Malformed,
    entries,
    flag,
    moment,
    optional,
    parse_time,
    section,
    text,
    whole,
    words,
)
from agentcorps.core.label_selector import parse_selector
from agentcorps.core.metadata import controller_of, identity_of, labels_of
from agentcorps.core.payloads import input_source, result_secret
from agentcorps.core.pod_wire import pod_record
from agentcorps.core.podspec import template_hash
from agentcorps.core.quota_record import quota_record
from agentcorps.core.records import AgentRecord, Attempt, Limits, PoolRecord, TaskRecord
from agentcorps.core.task_status import ABSENT, task_status

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ABSENT",
    "Malformed",
    "agent_record",
    "pod_record",
    "pool_record",
    "quota_record",
    "task_record",
    "task_status",
]

_DRAIN_SECONDS: Final[int] = AgentPoolSpec.model_fields["drain_timeout_seconds"].default


def task_record(obj: Mapping[str, Any]) -> TaskRecord:
    """Read a Task; a spec that cannot be used is told in ``invalid``.

    Raises:
        Malformed: The metadata or the status cannot be read.
    """
    identity = identity_of(obj)
    try:
        spec = _task_spec(obj)
    except Malformed as error:
        spec = _UNUSABLE | {"invalid": clip_message(str(error))}
    status = section(obj, "status", "status")
    inherited = limits_of(
        section(status, "poolDefaults", "status.poolDefaults"), "status.poolDefaults"
    )
    return TaskRecord(
        uid=identity.uid,
        key=identity.key,
        resource_version=identity.resource_version,
        generation=identity.generation,
        created=identity.created,
        **spec,
        **effective(spec["own"], inherited),
        inherited=inherited,
        **_task_status(status),
    )


def agent_record(obj: Mapping[str, Any]) -> AgentRecord:
    """Read an Agent; a spec that cannot be used is told in ``invalid``.

    Raises:
        Malformed: The metadata or the status cannot be read.
    """
    identity = identity_of(obj)
    status = section(obj, "status", "status")
    metadata = section(obj, "metadata", "metadata")
    owner = controller_of(metadata)
    owned = (
        owner.get("kind") == AGENT_POOL.kind and owner.get("apiVersion") == AGENT_POOL.api_version
    )
    phase = _agent_phase(status)
    spec, invalid = _agent_spec(obj)
    return AgentRecord(
        uid=identity.uid,
        key=identity.key,
        resource_version=identity.resource_version,
        generation=identity.generation,
        created=identity.created,
        pool=owner.get("name", "") if owned else "",
        pool_uid=owner.get("uid", "") if owned else "",
        **spec,
        phase=phase,
        draining_since=_draining_since(status, phase, identity.created),
        deleting=identity.deleting,
        invalid=invalid,
        status=status,
        labels=labels_of(metadata),
        quarantined=find(status, ConditionType.HEALTHY).get("status") == ConditionStatus.FALSE,
    )


def pool_record(obj: Mapping[str, Any]) -> PoolRecord:
    """Read an AgentPool; a spec that cannot be used is told in ``invalid``.

    Raises:
        Malformed: The metadata or the status cannot be read.
    """
    identity = identity_of(obj)
    spec, invalid = _pool_spec(obj)
    return PoolRecord(
        uid=identity.uid,
        key=identity.key,
        resource_version=identity.resource_version,
        generation=identity.generation,
        created=identity.created,
        **spec,
        deleting=identity.deleting,
        invalid=invalid,
        status=section(obj, "status", "status"),
    )


_UNUSABLE: Final[dict[str, Any]] = {
    "pool": "",
    "selector": (),
    "affinity_key": "",
    "requires": frozenset(),
    "priority": 0,
    "queue_timeout_seconds": None,
    "cancel": False,
    "input_bytes": 0,
    "own": Limits(retry_limit=0),
    "input_from": None,
    "result_secret": "",
}
"""Stands for a Task's spec that cannot be read."""


def _task_spec(obj: Mapping[str, Any]) -> dict[str, Any]:
    spec = section(obj, "spec", "spec")
    return {
        **_whom(spec),
        "requires": words(spec, "requires", "spec.requires"),
        "priority": whole(spec, "priority", "spec.priority", 0, None),
        "queue_timeout_seconds": optional(
            spec, "queueTimeoutSeconds", "spec.queueTimeoutSeconds", at_least=1
        ),
        "affinity_key": text(spec, "affinityKey", "spec.affinityKey", ""),
        "cancel": flag(spec, "cancel", "spec.cancel"),
        "input_bytes": _size(section(spec, "input", "spec.input")),
        "own": limits_of(spec, "spec"),
        "input_from": input_source(spec),
        "result_secret": result_secret(spec),
    }


def _whom(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Which agents may do the work: those of a pool, or those that a selector matches."""
    pool = text(spec, "pool", "spec.pool", "")
    if bool(pool) == (spec.get("agentSelector") is not None):
        raise Malformed("spec", "must have either pool or agentSelector")
    path = "spec.agentSelector"
    return {"pool": pool, "selector": parse_selector(section(spec, "agentSelector", path), path)}


def _size(payload: Mapping[str, Any]) -> int:
    try:
        return encoded_size(payload)
    except (TypeError, ValueError):
        raise Malformed("spec.input", "is not JSON") from None
    except RecursionError:
        raise Malformed("spec.input", "is nested too deeply") from None


def _task_status(status: Mapping[str, Any]) -> dict[str, Any]:
    progress = section(status, "progress", "status.progress")
    percent = whole(progress, "percent", "status.progress.percent", -1, None)
    return {
        "phase": _task_phase(text(status, "phase", "status.phase", TaskPhase.QUEUED)),
        "reason": text(status, "reason", "status.reason", ""),
        "message": text(status, "message", "status.message", ""),
        "attempt": whole(status, "attempt", "status.attempt", 0),
        "failures": whole(status, "failures", "status.failures", 0),
        "crashes": whole(status, "crashes", "status.crashes", 0),
        "agent_name": text(status, "agentName", "status.agentName", ""),
        "pod_uid": text(status, "podUID", "status.podUID", ""),
        "agent_instance": text(status, "agentInstance", "status.agentInstance", ""),
        "started_at": moment(status, "startedAt", "status.startedAt"),
        "finished_at": moment(status, "finishedAt", "status.finishedAt"),
        "observed_generation": whole(
            status, "observedGeneration", "status.observedGeneration", -1, None
        ),
        "progress_percent": None if percent < 0 else percent,
        "progress_message": text(progress, "message", "status.progress.message", ""),
        "attempts": tuple(map(_attempt, entries(status, "attempts", "status.attempts"))),
    }


def _task_phase(name: str) -> TaskPhase:
    try:
        return TaskPhase(name)
    except ValueError:
        raise Malformed("status.phase", "is not a phase of a Task") from None


def _attempt(entry: Mapping[str, Any]) -> Attempt:
    finished = moment(entry, "finishedAt", "status.attempts.finishedAt") or 0.0
    started = moment(entry, "startedAt", "status.attempts.startedAt")
    return Attempt(
        attempt=whole(entry, "attempt", "status.attempts.attempt", 0),
        agent_name=text(entry, "agentName", "status.attempts.agentName", ""),
        started_at=finished if started is None else started,
        finished_at=finished,
        reason=text(entry, "reason", "status.attempts.reason", ""),
        message=text(entry, "message", "status.attempts.message", ""),
    )


def _agent_phase(status: Mapping[str, Any]) -> AgentPhase | None:
    name = text(status, "phase", "status.phase", "")
    try:
        return AgentPhase(name) if name else None
    except ValueError:
        raise Malformed("status.phase", "is not a phase of an Agent") from None


def _draining_since(
    status: Mapping[str, Any], phase: AgentPhase | None, created: float
) -> float | None:
    entries(status, "conditions", "status.conditions")
    if phase is not AgentPhase.DRAINING and not is_true(status, DRAINING):
        return None
    since = parse_time(str(find(status, DRAINING).get("lastTransitionTime")))
    return created if since is None else since


def _agent_spec(obj: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    written = section(obj, "spec", "spec")
    try:
        # Status is the operator's own and metadata the API server's: neither is judged here.
        spec = parse_agent({"metadata": {}, "spec": written}).spec
    except InvalidObject as error:
        unusable = AgentSpec.model_construct(pod_template={})
        return _agent_fields(unusable, ""), clip_message(error.message)
    return _agent_fields(spec, template_hash(written)), ""


def _agent_fields(spec: AgentSpec, digest: str) -> dict[str, Any]:
    return {
        "capabilities": frozenset(spec.capabilities),
        "slots": spec.slots,
        "heartbeat_seconds": spec.health.heartbeat_seconds,
        "failure_threshold": spec.health.failure_threshold,
        "startup_seconds": spec.health.startup_seconds,
        "self_fence_seconds": spec.health.self_fence_seconds,
        "template_hash": digest,
        "pod_template": spec.pod_template,
    }


def _pool_spec(obj: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    written = section(obj, "spec", "spec")
    try:
        spec = parse_pool({"metadata": {}, "spec": written}).spec
    except InvalidObject as error:
        return _unusable_pool(), clip_message(error.message)
    agent_spec = written["template"]["spec"]
    policies = () if spec.scaling is None else spec.scaling.policies
    trouble = schedules.problem(policies) or metric_sources.problem(policies)
    if trouble:
        return _unusable_pool(), clip_message(trouble)
    try:
        charge = charge_of(agent_spec["podTemplate"]["spec"])
    except Malformed as error:
        return _unusable_pool(), clip_message(f"spec.template.spec.podTemplate.{error}")
    return {
        "replicas": spec.replicas,
        "scaling": spec.scaling,
        "slots": spec.template.spec.slots,
        "capabilities": frozenset(spec.template.spec.capabilities),
        "drain_timeout_seconds": spec.drain_timeout_seconds,
        "max_queued": spec.tasks.max_queued,
        "history_limit": spec.tasks.history_limit,
        "task_defaults": limits_of(
            section(section(written, "tasks", "spec.tasks"), "defaults", "spec.tasks.defaults"),
            "spec.tasks.defaults",
        ),
        "template_hash": template_hash(agent_spec),
        "template_labels": spec.template.metadata.labels,
        "template_annotations": spec.template.metadata.annotations,
        "agent_spec": agent_spec,
        "charge": charge,
        "quota_priority": spec.quota.priority,
        "quota_weight": spec.quota.weight,
        "quota_preempts": spec.quota.preemption is Preemption.DRAIN,
    }, ""


def _unusable_pool() -> dict[str, Any]:
    return {
        "replicas": 0,
        "drain_timeout_seconds": _DRAIN_SECONDS,
        "template_hash": "",
        "template_labels": {},
        "template_annotations": {},
        "agent_spec": {},
        "charge": JUST_A_POD,
        "quota_priority": 0,
        "quota_weight": 1,
        "quota_preempts": False,
    }
