"""`agentcorps pool why` names what keeps a pool from its number of agents."""

from typing import Any

import pytest

from agentcorps.cli.pool_why import explain, show


def _pool(limited_by: str, *conditions: dict[str, Any], granted: int | None = None) -> Any:
    status = {"targetReplicas": 5, "readyReplicas": 1, "limitedBy": limited_by}
    if granted is not None:
        status["grantedReplicas"] = granted
    return {
        "metadata": {"namespace": "team", "name": "crew", "generation": 1},
        "spec": {"replicas": 5},
        "status": {**status, "observedGeneration": 1, "conditions": list(conditions)},
    }


def _said(pool: Any, capsys: pytest.CaptureFixture[str]) -> str:
    answer = explain(pool) | {"operator": {"state": "leading", "message": ""}}
    show(answer, color=False)
    return capsys.readouterr().out


def test_the_quota_is_named_with_the_share(capsys: pytest.CaptureFixture[str]) -> None:
    """A pool that its quota limits says so once, and by which resource."""
    message = "its share is 3 of 5 agents, by pods of ResourceQuota team"
    limited = {"type": "QuotaLimited", "status": "True", "reason": "ShareExhausted"}
    stalled = {"type": "Stalled", "status": "True", "reason": "QuotaLimited"}
    told = f"3 of 5 agents are ready: {message}"
    pool = _pool("Quota", {**limited, "message": message}, {**stalled, "message": told}, granted=3)
    said = _said(pool, capsys)
    assert "limited by: the namespace's ResourceQuota" in said
    assert said.count(message) == 1
    assert explain(pool)["granted"] == 3


def test_the_cluster_is_named_with_what_its_scheduler_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pods without a node: the limit is the cluster's capacity; the scheduler's words follow."""
    message = "pod team/crew-0 cannot start: Unschedulable (0/3 nodes are available)"
    stalled = {"type": "Stalled", "status": "True", "reason": "Unschedulable", "message": message}
    said = _said(_pool("Capacity", stalled), capsys)
    assert "limited by: the cluster's capacity" in said
    assert message in said


def test_a_pool_that_waits_for_its_first_agent_says_what_keeps_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No agent starts: that is the limit, and the reason of the first of them follows."""
    message = "pod team/crew-0 cannot start: ImagePullBackOff"
    stalled = {"type": "Stalled", "status": "True", "reason": "x", "message": message}
    said = _said(_pool("Startup", stalled), capsys)
    assert "limited by: its own agents: none starts, so no more are made" in said
    assert message in said


def test_a_pool_that_waits_for_places_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """What a pool waits for while nothing limits it stands in the answer."""
    message = "1 of 5 agents are ready; others still have the places for 4 of its share"
    under_way = {"type": "Reconciling", "status": "True", "reason": "x", "message": message}
    assert f"reconciling: {message}" in _said(_pool("None", under_way, granted=5), capsys)


def test_what_does_not_limit_is_not_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A condition that does not hold says nothing, whatever its message was."""
    past = {"type": "QuotaLimited", "status": "False", "reason": "WithinQuota", "message": "old"}
    said = _said(_pool("None", past, granted=5), capsys)
    assert "limited by" not in said
    assert "old" not in said
