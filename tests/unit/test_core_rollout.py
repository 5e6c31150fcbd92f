"""A changed template reaches the agents one at a time, and a bad one stops at its first."""

from __future__ import annotations

from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.records import Key
from agentcorps.core.scaling import replicas
from support.fleet import NAMESPACE, POOL, Fleet


def step(fleet: Fleet) -> list[CreateAgent | Drain | DeleteAgent]:
    """Return one decision about the pool."""
    return replicas(fleet.state, POOL, fleet.now, first_hello=0.0)


def crew(ready: int) -> Fleet:
    """Return a pool whose template was just changed, with so many ready agents of the old one."""
    fleet = Fleet()
    fleet.pool(replicas=ready)
    for number in range(ready):
        fleet.ready_agent(f"crew-{number}")
    fleet.pool(replicas=ready, template_hash="new")
    return fleet


def test_an_unchanged_template_disturbs_nobody() -> None:
    """Without a change there is nothing to do."""
    fleet = Fleet()
    fleet.pool(replicas=1)
    fleet.ready_agent("crew-0")
    assert step(fleet) == []


def test_one_serving_agent_goes_at_a_time() -> None:
    """The newest goes first, and the next only when it is gone and its successor is ready."""
    fleet = crew(3)
    assert step(fleet) == [Drain(Key(NAMESPACE, "crew-2"), "Outdated")]
    fleet.drain(Key(NAMESPACE, "crew-2"))
    assert CreateAgent(POOL, "crew-3") in step(fleet)
    new = fleet.agent("crew-3", template_hash="new")
    fleet.state.forget_agent(Key(NAMESPACE, "crew-2"))
    assert step(fleet) == []
    fleet.pod(new)
    fleet.hello(new.key)
    assert step(fleet) == [Drain(Key(NAMESPACE, "crew-1"), "Outdated")]


def test_an_idle_agent_goes_before_a_busy_one() -> None:
    """Work is disturbed last: the busy agent stays while an idle one is outdated too."""
    fleet = crew(2)
    fleet.task(Key(NAMESPACE, "crew-1"))
    assert step(fleet) == [Drain(Key(NAMESPACE, "crew-0"), "Outdated")]


def test_agents_that_never_started_go_at_once() -> None:
    """A corrected template replaces every agent of the broken one in one step."""
    fleet = Fleet()
    fleet.pool(replicas=3)
    for number in range(3):
        fleet.pod(fleet.agent(f"crew-{number}"), waiting_reason="ErrImagePull")
    fleet.pool(replicas=3, template_hash="new")
    assert len(step(fleet)) == 3


def test_a_template_that_does_not_start_stops_the_rollout() -> None:
    """The first agent of the new template hangs in its image pull: the others stay."""
    fleet = crew(2)
    fleet.state.forget_agent(Key(NAMESPACE, "crew-1"))
    fleet.pod(fleet.agent("crew-2", template_hash="new"), waiting_reason="ErrImagePull")
    assert step(fleet) == []
