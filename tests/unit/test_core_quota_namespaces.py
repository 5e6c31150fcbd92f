"""Each namespace is a resource pool of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.amounts import NANO
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota_record import QuotaRecord
from agentcorps.core.records import Key
from support.fleet import POOL, Fleet

if TYPE_CHECKING:
    from agentcorps.core.room import Room


class Household(NamedTuple):
    """A pool with the quota of its namespace, if that has one."""

    namespace: str
    quota: int | None
    """Pods."""
    others: int
    """Of these, used by others."""
    replicas: int
    agents: tuple[str, ...]
    """What there is of each agent."""


AGENTS = st.lists(st.sampled_from(["no pod", "running", "draining", "leaving", "orphaned"]))


def _households(namespace: str) -> st.SearchStrategy[Household]:
    few = st.integers(0, 6)
    return st.builds(
        Household, st.just(namespace), st.none() | few, few, few, AGENTS.map(lambda a: tuple(a[:5]))
    )


def _move_in(fleet: Fleet, household: Household) -> None:
    """Observe a household."""
    pool = Key(household.namespace, f"{household.namespace}-crew")
    fleet.other_pool(fleet.pool(), pool, replicas=household.replicas)
    uid = fleet.state.pools[pool].uid
    pods = 0
    for number, what in enumerate(household.agents):
        key = Key(household.namespace, f"{pool.name}-{number}")
        agent = fleet.agent(key.name, key=key, pool=pool.name, pool_uid=uid)
        if what != "no pod":
            pods += 1
            fleet.pod(agent, deleting=what == "leaving")
        if what == "draining":
            fleet.drain(key)
        elif what == "orphaned":
            fleet.state.forget_agent(key)
    if household.quota is not None:
        hard = {"pods": household.quota * NANO}
        used = {"pods": (pods + household.others) * NANO}
        key = Key(household.namespace, "quota")
        fleet.state.observe_quota(QuotaRecord(f"q-{key.namespace}", key, 1, hard, used))
    fleet.state.forget_pool(POOL)


@given(_households("east"), _households("west"))
def test_what_goes_on_in_one_namespace_is_nothing_to_another(
    east: Household, west: Household
) -> None:
    """Two namespaces side by side have the rooms that each of them has alone."""
    alone: dict[Key, Room] = {}
    for household in (east, west):
        fleet = Fleet()
        _move_in(fleet, household)
        alone |= rooms(fleet.state, ForeignUse(), fleet.now)
    together = Fleet()
    _move_in(together, east)
    _move_in(together, west)
    assert rooms(together.state, ForeignUse(), together.now) == alone
    limited = {one.namespace for one in (east, west) if one.quota is not None}
    assert {key.namespace for key in alone} == limited
