"""Why agents leave, for people: the reasons of drains and deletions in a sentence each."""

from __future__ import annotations

from typing import Final

_SENTENCES: Final = {
    "ScaledDown": "the pool is to have fewer agents",
    "QuotaReclaimed": "its place is beyond its pool's share of the ResourceQuota",
    "QuotaPreempted": "its place is the share of a pool with quota.preemption Drain",
    "Outdated": "the pool's template has changed",
    "PodStuckTerminating": "its pod does not come to its end",
    "Quarantined": "too much fails on it",
    "Drained": "it has no work left",
    "DrainTimeout": "it was still at work when the pool's drainTimeoutSeconds were over",
}


def why_leaving(reason: str) -> str:
    """Return a reason (CamelCase) with what it means; one that is not known here as it is."""
    sentence = _SENTENCES.get(reason)
    return reason if sentence is None else f"{reason}: {sentence}"
