"""Reading what tells how an attempt was lost, and how a Task wants to be tried again."""

from __future__ import annotations

from typing import Any

import pytest

from agentcorps.core import wire
from agentcorps.core.fields import parse_time

METADATA: dict[str, Any] = {
    "uid": "uid",
    "namespace": "team",
    "name": "crew-0",
    "resourceVersion": "7",
    "creationTimestamp": "2026-11-23T07:42:00Z",
}
POD: dict[str, Any] = {"metadata": METADATA, "status": {"phase": "Running"}}
AGENT: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {"podTemplate": {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}},
}
TASK: dict[str, Any] = {"metadata": METADATA, "spec": {"pool": "crew"}}


@pytest.mark.parametrize(
    ("status", "disruption"),
    [
        ({"reason": "Evicted"}, "Evicted"),
        (
            {
                "conditions": [
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "PreemptionByScheduler",
                    }
                ]
            },
            "PreemptionByScheduler",
        ),
        ({"conditions": [{"type": "DisruptionTarget", "status": "False", "reason": "No"}]}, ""),
        ({"reason": "OutOfcpu"}, ""),
    ],
    ids=["evicted", "preempted", "spared", "refused"],
)
def test_why_the_cluster_ends_a_pod_is_read(status: dict[str, Any], disruption: str) -> None:
    """Evictions and preemptions are told apart from what the pod did itself."""
    assert wire.pod_record(POD | {"status": status}).disruption == disruption


def _died(name: str, at: str, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    return {name: {"terminated": {"finishedAt": at, "reason": reason, "exitCode": code}}}


def test_the_last_death_of_a_container_is_read() -> None:
    """Of the deaths in all containers the last one counts, with its cause."""
    first = _died("lastState", "2026-11-23T07:50:00Z")
    last = _died("state", "2026-11-23T07:55:00Z", "OOMKilled", 137)
    status = {"containerStatuses": [first | {"state": {"running": {}}}, first | last]}
    record = wire.pod_record(POD | {"status": status})
    assert record.exit_cause == "OOMKilled (exit code 137)"
    assert record.exited_at == parse_time("2026-11-23T07:55:00Z")
    assert wire.pod_record(POD).exited_at is None


@pytest.mark.parametrize(
    ("at", "own"), [("2026-11-23T07:59:29Z", True), ("2026-11-23T07:59:30Z", False)]
)
def test_a_death_by_deletion_is_none_of_its_own(at: str, *, own: bool) -> None:
    """What dies once the deletion was asked for did not die of itself."""
    doomed = {"deletionTimestamp": "2026-11-23T08:00:00Z", "deletionGracePeriodSeconds": 30}
    pod = POD | {
        "metadata": POD["metadata"] | doomed,
        "status": {"containerStatuses": [_died("state", at)]},
    }
    assert (wire.pod_record(pod).exited_at is not None) == own


def test_the_end_of_a_deletion_is_read() -> None:
    """The API server counts the grace period in; a pod that nobody deleted has no end."""
    doomed = POD["metadata"] | {"deletionTimestamp": "2026-11-23T08:00:00Z"}
    record = wire.pod_record(POD | {"metadata": doomed})
    assert record.delete_by == parse_time("2026-11-23T08:00:00Z")
    assert wire.pod_record(POD).delete_by is None


def test_a_quarantined_agent_is_read() -> None:
    """Healthy=False in the status is the quarantine; any other Healthy is none."""
    for holds, quarantined in (("False", True), ("True", False)):
        status = {"conditions": [{"type": "Healthy", "status": holds}]}
        assert wire.agent_record(AGENT | {"status": status}).quarantined == quarantined


def test_the_retry_of_a_task_is_read() -> None:
    """What the Task says counts, and the defaults where it says nothing."""
    retry = {"limit": 7, "backoffSeconds": 0, "maxBackoffSeconds": 9, "reasons": ["Timeout"]}
    record = wire.task_record(TASK | {"spec": TASK["spec"] | {"retry": retry}})
    assert (record.retry_limit, record.backoff_seconds, record.max_backoff_seconds) == (7, 0, 9)
    assert record.retry_reasons == {"Timeout"}
    default = wire.task_record(TASK | {"spec": TASK["spec"] | {"retry": {}}})
    assert (default.retry_limit, default.backoff_seconds, default.max_backoff_seconds) == (
        2,
        5,
        300,
    )
    assert default.retry_reasons == {"AgentLost", "Timeout", "AgentError"}
