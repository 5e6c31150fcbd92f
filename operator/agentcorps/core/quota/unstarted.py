"""Agents that do not start, and what they mean for what their pool may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.core.assessment import Standing, assess, own_pod, own_session, was_heard

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.records import AgentRecord, Key, Now, PoolRecord
    from agentcorps.core.state import State

PROBES: Final = 1
"""Agents that a pool may try with, however many of its others do not start."""
UNSCHEDULABLE: Final = "Unschedulable"
_AWAITING_NODES: Final = frozenset({UNSCHEDULABLE, "SchedulingGated"})
_NOT_STARTED: Final = frozenset({Standing.STUCK, Standing.STARTUP_TIMEOUT})


class Unstarted(NamedTuple):
    """How far a pool is from starting its agents."""

    active: int = 0
    """Agents that count toward its number."""
    given_up: int = 0
    """Those of them that should long have started."""
    unschedulable: int = 0
    """Those of them that found no node."""
    serves: bool = True
    """Whether any agent of its present template has started."""

    @property
    def able(self) -> bool:
        """Whether another agent is likely to start."""
        return not self.given_up or (self.serves and not self.unschedulable)

    def useful(self, target: int) -> int:
        """Return how many agents of a target have a claim to the quota beside others.

        Those that do not start have none, but for one to try with.
        """
        if not self.given_up:
            return target
        reach = target if self.able else self.active
        return min(target, max(0, reach - self.given_up) + PROBES)

    def kept(self, target: int) -> int:
        """Return how many agents of a target the pool may have where nobody else wants the room.

        None of its pods is taken from it for not starting. But no more are made, either, unless
        others of the same template have started.
        """
        return target if self.able else min(target, max(self.active, PROBES))


def unstarted(
    state: State,
    pool: PoolRecord,
    active: Sequence[AgentRecord],
    now: Now,
    rules: SharingRules,
    refused: Collection[Key] = (),
) -> Unstarted:
    """Look at a pool's agents.

    An agent should have started `health.startupSeconds` after its pod was made; while it waits for
    a node it has at least as long as the rules say. Agents of an earlier template say nothing about
    this one.

    Args:
        state: What was observed.
        pool: The pool.
        active: Its agents that count toward its number.
        now: This instant.
        rules: How long is long enough.
        refused: Agents whose pods the API server would not take.
    """
    given_up = unschedulable = 0
    serves = False
    for agent in active:
        if agent.template_hash != pool.template_hash:
            continue
        pod = own_pod(state, agent)
        if pod is None:
            late = now.wall >= agent.created + agent.startup_seconds
            given_up += late and agent.key in refused
        elif own_session(state, pod) is not None or was_heard(state, agent, pod):
            serves = True
        elif now.wall >= pod.created + _patience(agent, pod.waiting_reason, rules):
            hopeless = assess(state, agent, now, None).standing in _NOT_STARTED
            given_up += hopeless
            unschedulable += hopeless and pod.waiting_reason == UNSCHEDULABLE
    return Unstarted(len(active), given_up, unschedulable, serves)


def _patience(agent: AgentRecord, waiting: str, rules: SharingRules) -> float:
    if waiting in _AWAITING_NODES:
        return max(rules.unschedulable, agent.startup_seconds)
    return agent.startup_seconds
