"""Brings a changed template to the agents of a pool, one serving agent at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.core.assessment import Standing, assess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.core.records import AgentRecord, Now, PoolRecord
    from agentcorps.core.state import State

_SERVING: Final = frozenset({Standing.READY, Standing.AWAITED})


def outdated(
    state: State,
    pool: PoolRecord,
    active: Sequence[AgentRecord],
    now: Now,
    first_hello: float | None,
    worth: Callable[[AgentRecord], tuple[object, ...]],
) -> list[AgentRecord]:
    """Return the agents to drain because their template is not the pool's any more.

    What does not serve does no harm by leaving: all of those go at once, so a broken template can
    be corrected. Of those that serve one goes at a time, and only while every agent of the new
    template is ready and nothing drains: a template that does not start stops the rollout at its
    first agent.

    Args:
        state: What was observed.
        pool: The pool.
        active: Its agents that count toward its replicas, as many as it wants.
        now: This instant.
        first_hello: When (monotonic) this leader received its first hello; None before.
        worth: Sort key: the agent that is missed least comes first.
    """
    standing = {agent.key: assess(state, agent, now, first_hello).standing for agent in active}
    old = [agent for agent in active if agent.template_hash != pool.template_hash]
    useless = [agent for agent in old if standing[agent.key] not in _SERVING]
    if useless or not old:
        return useless
    waits = any(
        agent.template_hash == pool.template_hash and standing[agent.key] is not Standing.READY
        for agent in active
    )
    drains = any(agent.draining_since is not None for agent in state.agents_of(pool.key))
    return [] if waits or drains else [min(old, key=worth)]
