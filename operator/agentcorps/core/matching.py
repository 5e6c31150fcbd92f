"""Which agent for which task.

Filters: the same namespace; the pool, or labels that the selector matches; every capability that
the task requires; an agent that serves (see ``Serving``), with a free slot and an open poll; not
the agent that just lost or failed this task, if another can take it now.

Scores, in this order: the agent that served the task's affinity key last; the fewest running tasks;
the highest recent success rate; idle for longest; ties by name. A busy agent is never waited for.

The line: aged priority, then age (see ``waiting.rank``). Between namespaces, and between pools and
selectors of a namespace, turns are taken (see ``turns.Turns``), for the writes of bindings are what
they contend for: nobody's flood holds up another's single task. Where a pool and a selector contend
for the same agent, it goes to the task that is first in line.

The same state gives the same bindings. They are decided one at a time, each seeing what was assumed
of those before, as kube-scheduler does: the cost of a round is that of what it begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.actions import Bind
from agentcorps.core.lifecycle import avoided_agent
from agentcorps.core.records import Key

if TYPE_CHECKING:
    from agentcorps.core.boards import Boards
    from agentcorps.core.records import Now, TaskRecord
    from agentcorps.core.state import State


def next_binding(state: State, now: Now) -> Bind | None:
    """Decide the next binding that is possible now; None when there is none.

    The state is left as it is: what the caller does not ``assume`` is decided again.
    """
    boards = state.boards(now)
    uid = boards.first()
    while uid is not None:
        task = state.tasks[uid]
        agent = _best(state, boards, task)
        if agent is None:
            return None
        claimant = boards.claimant(agent)
        if claimant in {uid, None}:
            session = state.sessions[agent]
            return Bind(uid, agent, session.pod_uid, session.instance)
        # Another board's task is ahead of this one for the same agent; each step leads to one that
        # is further ahead in line, so this ends.
        uid = claimant
    return None


def _best(state: State, boards: Boards, task: TaskRecord) -> Key | None:
    avoid, prefer = avoided_agent(task), state.affinities.agent_for(task)
    name = boards.best(task, avoid=avoid, prefer=prefer)
    return None if name is None else Key(task.key.namespace, name)
