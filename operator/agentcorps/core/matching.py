"""Which agent for which task.

Filters: the same namespace and pool; every capability that the task requires; an agent that serves
(see ``State``) with a free slot and an open poll; not the agent that just lost or failed this task,
if another can take it now. Then the task that is first in line, on the agent with the fewest
running tasks, idle for longest, ties by name: the same state gives the same bindings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.actions import Bind
from agentcorps.core.lifecycle import avoided_agent
from agentcorps.core.records import Key

if TYPE_CHECKING:
    from agentcorps.core.board import Pair
    from agentcorps.core.records import Now
    from agentcorps.core.state import State


def bindings(state: State, now: Now) -> list[Bind]:
    """Decide the bindings that are possible now; looks only at pools where something changed.

    The state is left as it is: what the caller does not ``assume`` is decided again next time.
    """
    found: list[Bind] = []
    for pool, board in state.dirty_boards(now).items():
        pairs = board.match(state.tasks.__getitem__, avoided_agent)
        if not pairs:
            state.clean(pool)
        found.extend(_bind(state, pool, pair) for pair in pairs)
    return found


def _bind(state: State, pool: Key, pair: Pair) -> Bind:
    agent = Key(pool.namespace, pair.agent)
    session = state.sessions[agent]
    return Bind(pair.task.uid, agent, session.pod_uid, session.instance)
