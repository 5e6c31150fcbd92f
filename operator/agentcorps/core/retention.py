"""How many Tasks a pool takes, and how many finished ones it keeps.

A pool holds at most ``maxQueued`` Tasks that wait for their first attempt, those that run or are
to be tried again, and ``historyLimit`` finished ones (and those of the last minute). That bounds
what a flood of Tasks can do to the operator's memory and to etcd.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.core.actions import HISTORY_LIMIT, DeleteTask, Finish
from agentcorps.core.lifecycle import refusal
from agentcorps.core.records import Target

if TYPE_CHECKING:
    from agentcorps.core.records import Now, PoolRecord
    from agentcorps.core.state import State

KEPT_SECONDS: Final = 60.0
"""How long a finished Task stays whatever the limit: who waits for its end must get to see it."""
MOST_REFUSED: Final = 200
"""Tasks of one pool refused at a time; the end of each write leads to the next look."""
FEWEST_DELETED: Final = 50
MOST_DELETED: Final = 1000
DELETED_SHARE: Final = 0.1
"""Of a pool's surplus, deleted at a time: gentle with a small one, and never left behind."""


def overflow(state: State) -> list[Finish]:
    """Decide which Tasks are refused; looks only at pools that got more, or a lower limit.

    To be asked after the bindings: a Task that an agent takes at once does not wait. Nor does one
    that an agent could take, and that waits its turn for the write of its binding.
    """
    refused: list[Finish] = []
    for key in state.ledger.grown():
        pool = state.pools.get(key)
        excess = 0 if pool is None or pool.invalid else state.ledger.untried(key) - pool.max_queued
        if pool is None or excess <= 0:
            state.ledger.counted(key)
        elif not state.could_bind(Target(*key)):
            refused += _refuse(state, pool, min(excess, MOST_REFUSED))
    return refused


def surplus(state: State, now: Now) -> list[DeleteTask]:
    """Decide which finished Tasks are deleted now, so that the history comes near its limit."""
    return [
        DeleteTask(uid, HISTORY_LIMIT)
        for key, pool in state.pools.items()
        if not pool.invalid
        for uid in state.ledger.oldest(key, _batch(state.ledger.finished(key), pool.history_limit))
        if _has_been_seen(state, uid, now)
    ]


def _refuse(state: State, pool: PoolRecord, count: int) -> list[Finish]:
    message = (
        f"AgentPool {pool.key.name} lets {pool.max_queued} Tasks wait (spec.tasks.maxQueued),"
        " and as many did: submit it again when fewer wait"
    )
    cause = TaskReason.QUEUE_FULL.value
    records = (state.tasks[uid] for uid in state.ledger.newest(pool.key, count))
    return [
        Finish(record.uid, record.attempt, TaskPhase.FAILED, cause, message)
        for record in records
        if not (state.in_flight(record.uid) or record.cancel or refusal(record))
    ]


def _batch(finished: int, limit: int) -> int:
    excess = max(0, finished - limit)
    return min(excess, MOST_DELETED, max(FEWEST_DELETED, ceil(excess * DELETED_SHARE)))


def _has_been_seen(state: State, uid: str, now: Now) -> bool:
    record = state.task(uid)
    if record is None or not record.terminal or state.in_flight(uid):
        return False
    ended = record.created if record.finished_at is None else record.finished_at
    return now.wall - ended >= KEPT_SECONDS
