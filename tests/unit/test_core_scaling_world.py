"""Pools in a world where everything may happen, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.actions import CreateAgent, DeleteAgent, Drain
from agentcorps.core.records import Key
from agentcorps.core.scaling import replicas
from support.fleet import NAMESPACE, POOL, Fleet

if TYPE_CHECKING:
    from collections.abc import Sequence


def _step(fleet: Fleet) -> Sequence[CreateAgent | Drain | DeleteAgent]:
    """Return one decision about the pool."""
    return replicas(fleet.state, POOL, fleet.now, first_hello=0.0)


class _World(Fleet):
    """A cluster in which everything may happen, and that carries out what scaling asks for."""

    def act(self) -> int:
        """Carry out one decision, checking each action; returns how many there were."""
        actions = _step(self)
        assert actions == _step(self), "the same state gives the same decision"
        for action in actions:
            match action:
                case CreateAgent(pool=_, name=name):
                    self._create(name)
                case Drain(agent=key):
                    assert self.state.agents[key].draining_since is None
                    self.drain(key)
                case DeleteAgent():
                    self._delete(action)
        again = _step(self)
        assert not [a for a in again if not isinstance(a, DeleteAgent)], "observed, so settled"
        assert len(self.active()) == self.state.pools[POOL].replicas
        return len(actions)

    def active(self) -> list[Key]:
        """Return the agents that stay."""
        agents = self.state.agents.values()
        return [a.key for a in agents if not a.deleting and a.draining_since is None]

    def _create(self, name: str) -> None:
        """Create an Agent whose name nobody bears."""
        key = Key(NAMESPACE, name)
        assert key not in self.state.agents
        assert key not in self.state.pods
        self.agent(name)

    def _delete(self, action: DeleteAgent) -> None:
        """Begin the deletion of an Agent that has no work, or had its time to drain."""
        record = self.state.agents[action.agent]
        assert (record.uid, record.resource_version) == (action.uid, action.resource_version)
        if self.state.bound_to(action.agent):
            assert record.draining_since is not None
            assert self.now.wall >= record.draining_since + 300
        self.change_agent(action.agent, deleting=True)

    def happen(self, event: str, number: int) -> None:
        """Let something happen to the agent of this rank, if there is one that it can happen to."""
        keys = sorted(self.state.agents)
        if event == "scale":
            self.pool(replicas=number)
        elif event == "time":
            self.seconds += 40.0 * number
        elif keys:
            getattr(self, f"_{event}")(keys[number % len(keys)])

    def _start(self, key: Key) -> None:
        """The agent gets its pod and says hello."""
        if key not in self.state.pods:
            self.pod(self.state.agents[key])
        self.hello(key)

    def _work(self, key: Key) -> None:
        """A task is bound to an agent that takes some."""
        agent = self.state.agents[key]
        if key in self.state.sessions and key in self.state.pods and agent.draining_since is None:
            self.task(key, uid=f"task-{self.version()}")

    def _finish(self, key: Key) -> None:
        """The agent's tasks end."""
        for task in list(self.state.bound_to(key)):
            self.state.forget_task(task.uid)

    def _crash(self, key: Key) -> None:
        """The pod is gone, with its process."""
        self._finish(key)
        self.state.close_session(key)
        self.state.forget_pod(key)

    def _vanish(self, key: Key) -> None:
        """The API server forgets an Agent; its pod lingers."""
        self._finish(key)
        self.state.forget_agent(key)
        self.state.close_session(key)

    def _bury(self, key: Key) -> None:
        """The deletion of an Agent comes to its end."""
        if self.state.agents[key].deleting:
            self._crash(key)
            self._vanish(key)


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["scale", "time", "start", "start", "work", "work", "finish", "crash", "vanish", "bury"]
        ),
        st.integers(0, 6),
        st.booleans(),
    ),
    max_size=40,
)


@given(_EVENTS)
def test_pools_converge_whatever_happens(events: list[tuple[str, int, bool]]) -> None:
    """Under any order of events every action is legal, and at rest the pool has its number."""
    world = _World()
    world.pool(replicas=2)
    for event, number, decide in events:
        world.happen(event, number)
        if decide:
            world.act()
    for _ in range(3):
        for key in list(world.state.agents):
            world._finish(key)
            world._bury(key)
        world.act()
    assert world.act() == 0
    assert len(world.active()) == world.state.pools[POOL].replicas
    assert all(agent.draining_since is None for agent in world.state.agents.values())
