"""What an operator is told about sharing: how long is long enough."""

from __future__ import annotations

from typing import Final, NamedTuple

from agentcorps.api.names import DEFAULT_MIN_RUNTIME_SECONDS, DEFAULT_UNSCHEDULABLE_SECONDS


class SharingRules(NamedTuple):
    """Times in seconds."""

    min_runtime: float = DEFAULT_MIN_RUNTIME_SECONDS
    """Age of an agent from which on its place may be given to another pool: a demand that swings
    must not have pods made and deleted all the time."""
    unschedulable: float = DEFAULT_UNSCHEDULABLE_SECONDS
    """How long a pod may find no node before its pool is taken to have reached the cluster's
    capacity: longer than a cluster autoscaler needs for a new node."""


DEFAULT_RULES: Final = SharingRules()
