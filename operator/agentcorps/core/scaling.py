"""How many agents a pool has: what to create, what to drain, what to delete once it is drained."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from agentcorps.api.names import agent_name, agent_number
from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.assessment import Standing, assess, own_pod
from agentcorps.core.membership import is_active, is_own
from agentcorps.core.quota.reclaim import given_back
from agentcorps.core.quota.rules import DEFAULT_RULES
from agentcorps.core.records import Key
from agentcorps.core.rollout import outdated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.records import AgentRecord, Now, PodRecord, PoolRecord
    from agentcorps.core.room import Room
    from agentcorps.core.state import State

    Worth = tuple[int, int, float, float, str]

DEFAULT_DRAIN_SECONDS: Final = 300
"""Time to drain of an Agent without a pool that could say so."""
OVERDUE_SECONDS: Final = 60.0
"""How long after its grace period a pod may still be there before it is taken to be stuck: on a
node out of reach, or held by a finalizer. Unmounting may take a kubelet that long."""
SPARE_REPLACEMENTS: Final = 10
"""How many more pods of a pool than it has replicas may be stuck before they are not replaced."""


def replicas(
    state: State,
    pool_key: Key,
    now: Now,
    first_hello: float | None = None,
    room: Room | None = None,
    rules: SharingRules = DEFAULT_RULES,
) -> list[CreateAgent | Drain | DeleteAgent]:
    """Bring the number of a pool's agents to its target (see `targets`).

    Agents that cannot start count like all others, so a broken template never multiplies pods. What
    is surplus is deleted if it does not work, else drained; what is unfit is drained, and replaced;
    a drained agent is deleted. With neither too many nor too few, agents of an earlier template are
    replaced (see `rollout`).

    The result must be carried out, and observed, before the next call for the same pool: from the
    same state the same actions come again. (A creation that comes again is refused, its name being
    taken, so the pool would still not exceed its number.)

    Args:
        state: What was observed.
        pool_key: The pool. Of one that is gone, or without a name (of Agents that stand alone),
            only the drained agents are deleted.
        now: This instant.
        first_hello: When (monotonic) this leader received its first hello; None before.
        room: What the quotas of the namespace leave to the pool; None where there are none.
        rules: For how long its agents may keep what is another pool's share.
    """
    pool = state.pools.get(pool_key)
    agents = state.agents_of(pool_key)
    actions: list[CreateAgent | Drain | DeleteAgent] = list(_drained(state, agents, now))
    if pool is None or pool.deleting or pool.invalid:
        return actions
    unfit = _unfit(state, pool, agents, now)
    actions += unfit
    leaving = {drain.agent for drain in unfit}
    active = [a for a in agents if is_active(a, pool) and a.key not in leaving]
    held = sum(agent.quarantined and is_own(agent, pool) for agent in agents)

    def worth(agent: AgentRecord) -> Worth:
        return _worth(state, agent, now, first_hello)

    def giving_back(surplus: int) -> list[Drain]:
        at_work = 0 if room is None else room.preempted
        return given_back(state, sorted(active, key=worth), now, rules, surplus, at_work)

    steps = _to_number(state, pool, active, held, worth, room, giving_back)
    if steps is None:
        old = outdated(state, pool, active, now, first_hello, worth)
        return [*actions, *(Drain(agent.key, "Outdated") for agent in old)]
    return [*actions, *(_at_once(state, step) for step in steps)]


def _at_once(state: State, step: CreateAgent | Drain) -> CreateAgent | Drain | DeleteAgent:
    """Have an agent without work deleted rather than drained: there is nothing to wait for.

    That is a write less for each agent that leaves, which another pool may be waiting for.
    """
    if isinstance(step, CreateAgent) or is_needed(state, step.agent):
        return step
    agent = state.agents[step.agent]
    return DeleteAgent(agent.key, agent.uid, agent.resource_version, step.reason)


def is_needed(state: State, agent: Key) -> bool:
    """Tell whether an agent has a Task, or may be the only one who knows the outcome of its last.

    Before that is written, only the agent itself has it for sure.
    """
    return bool(state.bound_to(agent)) or state.writes_about(agent)


def _unfit(
    state: State, pool: PoolRecord, agents: Collection[AgentRecord], now: Now
) -> list[Drain]:
    """Return who leaves whatever the number: whose pod is stuck, and who is in quarantine.

    An agent whose pod is stuck in its deletion is drained, and replaced at once under another name:
    nobody knows when that pod will be gone. Beyond ``SPARE_REPLACEMENTS`` more stuck pods than
    replicas there are no replacements: a cluster in which no pod ever ends must not fill up.
    One that is quarantined is replaced once it is gone.
    """
    stranded = _stranded(state, pool, agents, now)
    sick = (
        agent.key
        for agent in agents
        if agent.quarantined and is_own(agent, pool) and agent.draining_since is None
    )
    return [
        *(Drain(key, "PodStuckTerminating") for key in sorted(stranded)),
        *(Drain(key, "Quarantined") for key in sick if key not in stranded),
    ]


def _to_number(
    state: State,
    pool: PoolRecord,
    active: Sequence[AgentRecord],
    held: int,
    worth: Callable[[AgentRecord], Worth],
    room: Room | None,
    giving_back: Callable[[int], Sequence[Drain]],
) -> Sequence[CreateAgent | Drain] | None:
    """Return the steps to the number of agents; None when there are as many as there should be.

    Of what is surplus, first leaves what is not ready, then what is idle, last what is busy; among
    those first who served no affinity key last (then who served the fewest), and the newest first
    among equals.

    Where the quotas of the namespace leave less than the pool wants, it keeps to that; what it has
    too much it gives back (see `given_back`).

    Args:
        state: What was observed.
        pool: The pool.
        active: Its agents that stay.
        held: Places that those in quarantine hold until they are gone: no pod beyond the target.
        worth: Sort key: the agent that is missed least comes first.
        room: What the quotas of the namespace leave to the pool; None where there are none.
        giving_back: Names the agents to drain of so many that are beyond the share.
    """
    target = state.targets.decided(pool)
    wanted = len(active) if target is None else target
    share = wanted if room is None else min(room.granted, wanted)
    if len(active) > wanted:
        surplus = sorted(active, key=worth)[: len(active) - wanted]
        return [Drain(agent.key, "ScaledDown") for agent in surplus]
    if len(active) > share:
        return giving_back(len(active) - share)
    if len(active) < share:
        missing = max(0, share - len(active) - held)
        missing = missing if room is None else min(missing, room.creatable)
        return [CreateAgent(pool.key, name) for name in _free_names(state, pool, missing)]
    return None


def at_rest(state: State, pool_key: Key) -> bool:
    """Tell whether `replicas` has nothing to do for a pool, whatever its agents do meanwhile.

    That lasts until the pool changes, or the role of one of its agents, or a pod is to end.
    """
    pool = state.pools.get(pool_key)
    agents = state.agents_of(pool_key)
    if any(agent.draining_since is not None and not agent.deleting for agent in agents):
        return False
    if pool is None or pool.deleting or pool.invalid:
        return True
    own = [agent for agent in agents if is_own(agent, pool)]
    if any((pod := own_pod(state, agent)) is not None and pod.deleting for agent in own):
        return False
    return state.targets.decided(pool) in {None, len(own)} and not any(
        agent.quarantined or agent.template_hash != pool.template_hash for agent in own
    )


def next_due(state: State, now: Now, agents: Iterable[AgentRecord] | None = None) -> float | None:
    """Return when (monotonic) the next drain times out, or the next pod's deletion is overdue.

    None when neither is under way.

    Args:
        state: What was observed.
        now: This instant.
        agents: Which to look at; all, unless given.
    """
    moments = (
        now.monotonic + due - now.wall
        for agent in (state.agents.values() if agents is None else agents)
        if not agent.deleting
        if (due := _due(state, agent)) is not None
    )
    return min((moment for moment in moments if moment > now.monotonic), default=None)


def _due(state: State, agent: AgentRecord) -> float | None:
    """Return the wall time at which an agent's drain, or its pod's deletion, takes too long."""
    if agent.draining_since is not None:
        return agent.draining_since + drain_seconds(state, agent)
    pod = own_pod(state, agent)
    return None if pod is None or pod.delete_by is None else pod.delete_by + OVERDUE_SECONDS


def drain_seconds(state: State, agent: AgentRecord) -> int:
    """Return how long an agent may drain: as its pool says, if it has a usable one."""
    pool = state.pools.get(agent.pool_key)
    if pool is None or pool.uid != agent.pool_uid or pool.invalid:
        return DEFAULT_DRAIN_SECONDS
    return pool.drain_timeout_seconds


def _stranded(
    state: State, pool: PoolRecord, agents: Iterable[AgentRecord], now: Now
) -> frozenset[Key]:
    """Return the agents to replace because their pods do not come to their end."""
    found = [
        agent.key
        for agent in agents
        if is_own(agent, pool) and agent.draining_since is None
        if (pod := own_pod(state, agent)) is not None and _is_stuck(pod, now)
    ]
    if not found:
        return frozenset()
    stuck = [pod for pod in state.pods.values() if _is_stuck(pod, now) and _made_by(pool, pod)]
    replaced = len(stuck) - len(found)
    return frozenset(
        sorted(found)[: max(0, state.targets.of(pool) + SPARE_REPLACEMENTS - replaced)]
    )


def _is_stuck(pod: PodRecord, now: Now) -> bool:
    return pod.delete_by is not None and now.wall >= pod.delete_by + OVERDUE_SECONDS


def _made_by(pool: PoolRecord, pod: PodRecord) -> bool:
    """Tell by its name whether a pod is one of a pool's; its Agent may be gone already."""
    same = pod.key.namespace == pool.key.namespace
    return same and agent_number(pool.key.name, pod.agent_name) is not None


def _drained(state: State, agents: Iterable[AgentRecord], now: Now) -> Iterator[DeleteAgent]:
    for agent in agents:
        if agent.draining_since is None or agent.deleting:
            continue
        if not is_needed(state, agent.key):
            yield DeleteAgent(agent.key, agent.uid, agent.resource_version, "Drained")
            continue
        over = now.wall >= agent.draining_since + drain_seconds(state, agent)
        if over and state.bound_to(agent.key):
            yield DeleteAgent(agent.key, agent.uid, agent.resource_version, "DrainTimeout")


def _worth(state: State, agent: AgentRecord, now: Now, first_hello: float | None) -> Worth:
    """Return a sort key: the agent that is missed least comes first."""
    if state.bound_to(agent.key):
        use = 2
    else:
        use = int(assess(state, agent, now, first_hello).standing in _SERVING)
    pod = own_pod(state, agent)
    warmth = 0 if pod is None else state.affinities.warmth(pod.uid)
    number = agent_number(agent.pool, agent.key.name)
    return use, warmth, -agent.created, -inf if number is None else -number, agent.key.name


_SERVING: Final = frozenset({Standing.READY, Standing.AWAITED})


def _free_names(state: State, pool: PoolRecord, count: int) -> Iterator[str]:
    """Yield the lowest names that neither an Agent nor a Pod bears, terminating ones included."""
    number = 0
    while count > 0:
        name = agent_name(pool.key.name, number)
        key = Key(pool.key.namespace, name)
        if key not in state.agents and key not in state.pods:
            yield name
            count -= 1
        number += 1
