"""Gives each Agent its Pod, and takes away pods that no longer serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.control.basis import Basis
    from agentcorps.control.fleet_writes import FleetApplier
    from agentcorps.core.records import Key


class CreateAgents:
    """One step over the agents that changed, or for which the time has come."""

    def __init__(self, basis: Basis, applier: FleetApplier) -> None:
        self._state, self._remembered, self._clock = basis
        self._applier = applier
        self._agents = self._state.news.of_agents()

    async def step(self) -> float | None:
        """Decide and do; returns the seconds until an agent's silence or a rest is over."""
        now, first_hello = self._clock.now(), self._remembered.first_hello
        known = self._state.agents
        keys = self._agents.take_due(now.monotonic)
        agents = [agent for key in keys if (agent := known.get(key)) is not None]
        for agent in agents:
            due = health.next_due(self._state, now, first_hello, (agent,))
            self._agents.wake(agent.key, due)
        lacking = health.pods_to_create(self._state, agents)
        doomed = health.doomed_pods(self._state, now, first_hello, agents)
        creations = [one for one in lacking if not self._rest(one.agent, now.monotonic)]
        await self._applier.carry_out([*creations, *doomed])
        self._try_again((one.agent for one in lacking), (one.pod for one in doomed))
        alarm = self._agents.next_alarm()
        return None if alarm is None else alarm - self._clock.now().monotonic

    def _try_again(self, lacking: Iterable[Key], doomed: Iterable[Key]) -> None:
        """Look again at agents once their rest is over.

        Of those that still lack their pods it may have ended while others' were being created.
        """
        now = self._clock.now().monotonic
        for key in lacking:
            if key not in self._state.pods:
                self._agents.wake(key, now + self._rest(key, now))
        for key in doomed:
            rest = self._rest(key, now)
            if rest:
                self._agents.wake(key, now + rest)

    def _rest(self, key: Key, now: float) -> float:
        """Seconds for which an agent gets no pod: the last could not be made, or was no good."""
        agent = self._state.agents.get(key)
        uid = "" if agent is None else agent.uid
        return max(
            self._remembered.pods.rest(key, now), self._remembered.replaced_pods.rest(uid, now)
        )
