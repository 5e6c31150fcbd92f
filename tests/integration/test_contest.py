"""W5 on a small quota, with the real quota controller: fair, within the limit, and steady."""

import time
from pathlib import Path

import pytest

from support.contest import FLIPS, Contest
from support.operator_process import PATIENT, OperatorProcess
from support.pod_counts import PodCounts
from support.poll import until
from support.raw_api import RawApi

SIZE = 70
YOUNG = {"AGENTCORPS_MIN_RUNTIME_SECONDS": "2"}
"""Demand flips as soon as all have settled: it is not to wait for a minute each time."""


@pytest.mark.timeout(900)
def test_three_pools_share_by_weight_whatever_they_ask_for(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    """After each flip all reach the exact water-fill, straight away and never beyond the quota.

    The watcher has a connection of its own. How soon they get there is the benchmark's business.
    """
    log = tmp_path / "operator.log"
    with (
        OperatorProcess(kubeconfig, namespace, log, environ={**PATIENT, **YOUNG}) as operator,
        PodCounts(kubeconfig, namespace) as counts,
    ):
        contest = Contest(RawApi(kubeconfig), namespace, SIZE, counts)
        contest.quota()
        contest.pools()
        until(contest.is_over, "shares by weight", seconds=180)
        for flip in FLIPS:
            flipped = contest.flip(flip)
            until(contest.is_over, f"shares after {flip.pool} wants another number", seconds=180)
            verdict = contest.judge(flipped, time.monotonic())
            assert verdict.turns == 0, verdict
        assert contest.excess == 0
        assert counts.gaps == 0
        assert counts.now().total() == SIZE
        assert operator.running
