"""What `agentcorps simulate` tells: numbers, tables, lines of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.cli.output import Column, emit, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentcorps.cli.model import Object
    from agentcorps.core.records import PoolRecord
    from agentcorps.core.simulation.outcome import Outcome, PoolOutcome, Sample

HOUR: Final = 3600.0
MAX_WAIT: Final = 60.0
"""Seconds that a Task of a pool may wait that says nothing about it."""
WIDTH: Final = 60
"""Characters of a line of blocks."""
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def _wait(row: Object, name: str) -> str:
    seconds = row["waitSeconds"][name]
    return "-" if seconds is None else f"{seconds:.1f}s"


COLUMNS: Final = (
    Column("POOL", lambda row: row["name"]),
    Column("TASKS", lambda row: row["tasks"]),
    Column("P50", lambda row: _wait(row, "p50")),
    Column("P90", lambda row: _wait(row, "p90")),
    Column("P99", lambda row: _wait(row, "p99")),
    Column("MAX", lambda row: _wait(row, "max")),
    Column("MISSED", lambda row: f"{row['missedWaits']} (>{row['maxWaitSeconds']:g}s)"),
    Column("AGENTS", lambda row: row["mostAgents"]),
    Column("AGENT-HOURS", lambda row: f"{row['agentHours']:.2f}"),
    Column("SURPLUS", lambda row: f"{row['overProvisionedAgentHours']:.2f}"),
    Column("UTILISATION", lambda row: f"{row['utilisation']:.1%}"),
    Column("FLAPS", lambda row: row["flaps"]),
)


def summary(outcome: Outcome, pools: Sequence[PoolRecord], max_wait: float | None) -> Object:
    """Return the numbers that an outcome is judged by.

    Args:
        outcome: What came of the pools.
        pools: The pools.
        max_wait: Seconds of waiting that count as too long; None: as each pool says.
    """
    nodes = {"most": outcome.most_nodes, "nodeHours": round(outcome.node_seconds / HOUR, 3)}
    return {
        "hours": round(outcome.ended_at / HOUR, 3),
        "pools": [
            _numbers(pool, outcome.pools[pool.key], _max_wait(pool, max_wait)) for pool in pools
        ],
        **({"nodes": nodes} if outcome.most_nodes else {}),
    }


def _max_wait(pool: PoolRecord, given: float | None) -> float:
    if given is not None:
        return given
    policies = () if pool.scaling is None else pool.scaling.policies
    told = [one.max_wait_seconds for one in policies if one.max_wait_seconds is not None]
    return min(told, default=MAX_WAIT)


def _numbers(pool: PoolRecord, told: PoolOutcome, max_wait: float) -> Object:
    waits = sorted(told.waits)
    agents, worked = told.agent_seconds / HOUR, told.slot_seconds / told.slots / HOUR
    return {
        "name": pool.key.name,
        "tasks": len(waits) + told.never,
        "neverStarted": told.never,
        "waitSeconds": {
            name: round(quantile(waits, share), 3) if waits else None
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        },
        "maxWaitSeconds": max_wait,
        "missedWaits": told.missed(max_wait),
        "mostAgents": told.most_agents,
        "agentHours": round(agents, 3),
        "idleAgentHours": round(agents - worked, 3),
        "overProvisionedAgentHours": round(told.surplus_seconds / HOUR, 3),
        "utilisation": round(worked / agents, 3) if agents else 0.0,
        "quotaLimitedHours": round(told.short_seconds / HOUR, 3),
        "quotaLimitedBy": told.short_of,
        "preemptedAgents": told.preempted,
        "outlastingTasks": told.outlasting,
        "targetChanges": len(told.targets),
        "flaps": told.flaps,
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that this share of all does not exceed; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def show(answer: Object, outcome: Outcome) -> None:
    """Print the numbers for people, and the course of things."""
    print_table(COLUMNS, answer["pools"], color=False)
    emit("")
    for key, told in outcome.pools.items():
        for what, values in _courses(told.samples).items():
            emit(f"{key.name} {what:<9} {blocks(values)}  {min(values)}-{max(values)}")
    for row in answer["pools"]:
        for remark in _remarks(row):
            emit(f"{row['name']}: {remark}")
    if "nodes" in answer:
        nodes = answer["nodes"]
        emit(f"nodes: {nodes['most']} at most, {nodes['nodeHours']:g} node-hours")
    rest = any(row["neverStarted"] for row in answer["pools"])
    emit(f"{'given up' if rest else 'all Tasks ended'} after {answer['hours']:g} h")


def _remarks(row: Object) -> Iterator[str]:
    """Yield what somebody should know who looks at a pool's numbers."""
    if row["neverStarted"]:
        yield f"{row['neverStarted']} Tasks are never started"
    if row["quotaLimitedHours"]:
        yield f"{row['quotaLimitedBy']} limits it for {row['quotaLimitedHours']:g} h"
    if row["preemptedAgents"]:
        yield f"{row['preemptedAgents']} agents at work are drained for other pools' shares"
    if row["outlastingTasks"]:
        yield (
            f"{row['outlastingTasks']} Tasks take longer than drainTimeoutSeconds leaves them, and"
            " would lose their attempt"
        )


def _courses(samples: Sequence[Sample]) -> dict[str, list[int]]:
    return {
        "agents": [one.agents for one in samples],
        "queued": [one.queued for one in samples],
    }


def blocks(values: Sequence[int], width: int = WIDTH) -> str:
    """Return a line of blocks: each is the highest of some values in a row."""
    count, top = len(values), max(*values, 1)
    size = max(1, -(-count // width))
    heights = [max(values[start : start + size]) for start in range(0, count, size)]
    return "".join(_BLOCKS[-(-height * (len(_BLOCKS) - 1) // top)] for height in heights)
