"""The overview counts from Tasks, and judges the operator by its Lease."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from agentcorps.cli.overview import leader, report

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def agent(name: str, phase: str | None, pool: str = "p", namespace: str = "n") -> dict[str, Any]:
    """Return an Agent of a pool."""
    labels = {"agentcorps.dev/pool": pool}
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "status": {"phase": phase} if phase else {},
    }


def task(phase: str, agent_name: str = "", pool: str = "p", namespace: str = "n") -> Any:
    """Return the facts of a Task."""
    return SimpleNamespace(phase=phase, pool=(namespace, pool), agent=(namespace, agent_name))


def test_the_target_of_a_pool_with_an_autoscaler_is_what_that_decided() -> None:
    """Its spec.replicas means nothing; of a pool without one, it is all that counts."""
    metadata, status = {"name": "p", "namespace": "n"}, {"targetReplicas": 7}
    spec: dict[str, Any] = {"replicas": 1}
    scaled = {"metadata": metadata, "spec": spec | {"scaling": {}}, "status": status}
    fixed = {"metadata": metadata, "spec": spec, "status": status}
    assert [one["target"] for one in report([scaled, fixed], [], [])["pools"]] == [7, 1]


def test_busy_is_counted_from_the_tasks() -> None:
    """An Agent whose status lags behind counts as what the Tasks say."""
    agents = [
        agent("p-0", "Idle"),
        agent("p-1", "Busy"),
        agent("p-2", "Draining"),
        agent("p-3", None),
        agent("p-0", "Idle", namespace="other"),
    ]
    tasks = [
        task("Running", "p-0"),
        task("Running", "p-0"),
        task("Queued"),
        task("Queued", pool="q"),
        task("Succeeded", "p-1"),
    ]
    pools = [
        {
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"replicas": 4},
            "status": {
                "conditions": [
                    {"type": "Stalled", "status": "True", "reason": "Bad", "message": "why"}
                ]
            },
        }
    ]
    assert report(pools, agents, tasks) == {
        "pools": [
            {
                "namespace": "n",
                "name": "p",
                "target": 4,
                "granted": None,
                "ready": 2,
                "idle": 1,
                "busy": 1,
                "queued": 1,
                "running": 2,
                "problem": "Bad: why",
            }
        ],
        "agents": {"Busy": 1, "Draining": 1, "Idle": 2, "Pending": 1},
        "tasks": {"Queued": 2, "Running": 2, "Succeeded": 1},
    }


@pytest.mark.parametrize(
    ("renewed", "state"),
    [("2026-11-23T11:59:50.000000Z", "leading"), ("2026-11-23T11:59:40.000000Z", "expired")],
)
def test_a_lease_is_worth_its_duration(renewed: str, state: str) -> None:
    """A leader that renewed within the Lease's duration leads; an older one no longer does."""
    spec = {"holderIdentity": "op-1", "renewTime": renewed, "leaseDurationSeconds": 15}
    assert leader(spec, NOW)["state"] == state


def test_a_released_lease_has_no_leader() -> None:
    """A Lease without a holder means that nobody leads."""
    assert leader({"holderIdentity": "", "leaseDurationSeconds": 15}, NOW)["state"] == "none"
